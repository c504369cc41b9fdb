"""Attention over a packed row: each sequence sees itself only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from factalign.fkto import cpu_attention

PACKED = "factalign_packed"


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    max_length_q: int = 0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Causal attention within the sequences of a packed row.

    Args:
        module: The attention layer.
        query: `[1, heads, total, size]`.
        key: `[1, key heads, total, size]`.
        value: As `key`.
        attention_mask: Used without `cu_seq_lens_q` only.
        cu_seq_lens_q: `[sequences + 1]` int32, where each sequence begins, and the total. Without it, an ordinary
            forward pass (generation, for one) gets ordinary attention.
        scaling: Factor of the scores.
        dropout: Dropout of the attention weights.
        sliding_window: How far back a position sees; None: to the beginning.
        softcap: Unsupported.
        max_length_q: Length of the longest sequence.

    Returns:
        `[1, total, heads, size]`, and None for the weights.
    """
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            dropout=dropout,
            softcap=softcap,
            **others,
        )
    if softcap is not None:
        raise ValueError("packing does not support attention with softcap: set packing to false")
    if query.is_cuda and query.dtype != torch.float32 and dropout == 0.0:
        return _varlen(query, key, value, cu_seq_lens_q, max_length_q, scaling, sliding_window), None
    grouped = query.shape[1] != key.shape[1]
    short_backward = query.device.type == "cpu" and query.requires_grad and dropout == 0.0
    bounds = cu_seq_lens_q.tolist()
    outputs = []
    for begin, end in zip(bounds, bounds[1:], strict=False):
        asked, keys, values = (part[:, :, begin:end] for part in (query, key, value))
        windowed = sliding_window is not None and end - begin > sliding_window
        if short_backward and end - begin <= cpu_attention.LONGEST and not windowed:
            output = cpu_attention.causal_attention(asked, keys, values, scaling or query.shape[-1] ** -0.5)
        else:
            mask = _window_mask(end - begin, sliding_window, query.device) if windowed else None
            output = scaled_dot_product_attention(
                asked,
                keys,
                values,
                attn_mask=mask,
                dropout_p=dropout,
                is_causal=mask is None,
                scale=scaling,
                enable_gqa=grouped,
            )
        outputs.append(output.transpose(1, 2))
    return torch.cat(outputs, dim=1), None


def _window_mask(length: int, window: int | None, device: torch.device) -> Tensor:
    position = torch.arange(length, device=device)
    distance = position[:, None] - position[None, :]
    return (distance >= 0) & (distance < (window or length))


def _varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: Tensor,
    longest: int,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    output = varlen_attn(
        *(part.squeeze(0).transpose(0, 1) for part in (query, key, value)),
        bounds,
        bounds,
        longest,
        longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return output.unsqueeze(0)


def _mask(*args: Any, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    return None if attention_mask is None else sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, _mask)
