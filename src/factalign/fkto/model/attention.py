"""Attention over a packed row: each sequence sees itself only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from factalign.fkto.model import cpu_attention

PACKED = "factalign_packed"
VARLEN_DEVICES = ("cuda",)

_in_pack: ContextVar[bool] = ContextVar("in_pack", default=False)


@contextmanager
def packed_forward() -> Iterator[None]:
    """Within, models make no masks: `packed_attention` knows from `cu_seq_lens_q` what a position may see."""
    token = _in_pack.set(True)
    try:
        yield
    finally:
        _in_pack.reset(token)


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
    s_aux: Tensor | None = None,
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
        softcap: Bound of the scores (Gemma 2), or None.
        s_aux: `[heads]`, the scores of attention sinks (gpt-oss), or None.
        max_length_q: Length of the longest sequence.

    Returns:
        `[1, total, heads, size]`, and None for the weights.
    """
    plain = softcap is None and s_aux is None
    factor = query.shape[-1] ** -0.5 if scaling is None else scaling
    if cu_seq_lens_q is None:
        if not plain:
            if attention_mask is None:
                attention_mask = _window_mask(query.shape[2], sliding_window, query.device)
            output = _weighed(query, key, value, attention_mask, factor, dropout, softcap, s_aux)
            return output.transpose(1, 2).contiguous(), None
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **others
        )
    # Under autocast, rotary embeddings may leave queries and keys in float32 beside bfloat16 values.
    query, key = query.to(value.dtype), key.to(value.dtype)
    if plain and takes_varlen(value.device.type, value.dtype) and dropout == 0.0:
        return _varlen(query, key, value, cu_seq_lens_q, max_length_q, scaling, sliding_window), None
    grouped = query.shape[1] != key.shape[1]
    short_backward = query.device.type == "cpu" and query.requires_grad and dropout == 0.0
    bounds = cu_seq_lens_q.tolist()
    outputs = []
    for begin, end in zip(bounds, bounds[1:], strict=False):
        asked, keys, values = (part[:, :, begin:end] for part in (query, key, value))
        windowed = sliding_window is not None and end - begin > sliding_window
        if not plain:
            mask = _window_mask(end - begin, sliding_window, query.device)
            output = _weighed(asked, keys, values, mask, factor, dropout, softcap, s_aux)
        elif short_backward and end - begin <= cpu_attention.LONGEST and not windowed:
            output = cpu_attention.causal_attention(asked, keys, values, factor)
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


def takes_varlen(device: str, dtype: torch.dtype) -> bool:
    """Whether PyTorch has a kernel for all sequences of a packed row at once."""
    return device in VARLEN_DEVICES and dtype != torch.float32


def _weighed(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scaling: float,
    dropout: float,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Attention with its weights written out: `[rows, heads, length, size]`; `mask` is true, or 0, where one sees."""
    shared = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(shared, dim=1) for part in (key, value))
    scores = query @ key.transpose(2, 3) * scaling
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min) if mask.dtype == torch.bool else scores + mask
    if sinks is not None:
        sinks = sinks.to(scores.dtype).view(1, -1, 1, 1).expand(len(query), -1, scores.shape[2], 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)[..., : key.shape[2]]
    return drop(weights, dropout) @ value


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


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    return None if _in_pack.get() else sdpa_mask(*args, **kwargs)


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, _mask)
