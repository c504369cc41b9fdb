"""Causal attention of one short sequence on the CPU, with a backward pass of plain matrix products.

PyTorch's fused CPU kernel is slow in backward at the length of a response (up to twice as slow as what follows at 64 to
400 tokens), and it expands grouped keys. The forward pass is the fused kernel either way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

LONGEST = 512


class _CausalAttention(torch.autograd.Function):
    """Query `[1, heads, length, size]`, key and value `[1, key heads, length, size]`."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        ctx.save_for_backward(query, key, value)
        return scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = (saved.squeeze(0) for saved in ctx.saved_tensors)
        (heads, length, size), shared = query.shape, key.shape[0]
        # Queries that share keys stand below each other: one product a key head.
        rows = shared, heads // shared * length, size
        asked = query.reshape(rows)
        given = gradients[0].to(query.dtype).reshape(rows)
        scores = torch.bmm(asked.float() * ctx.scale, key.float().transpose(1, 2))
        ahead = torch.full((length, length), float("-inf")).triu_(1)
        scores.view(heads, length, length).add_(ahead)
        weights = torch.softmax(scores, dim=-1)
        slope = torch.bmm(given, value.transpose(1, 2)).float()
        slope = torch.ops.aten._softmax_backward_data(slope, weights, -1, torch.float32)
        slope = slope.mul_(ctx.scale).to(query.dtype)
        to_query = torch.bmm(slope, key).view(1, heads, length, size)
        to_key = torch.bmm(slope.transpose(1, 2), asked).unsqueeze(0)
        to_value = torch.bmm(weights.to(query.dtype).transpose(1, 2), given).unsqueeze(0)
        return to_query, to_key, to_value, None


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attention of a sequence of at most `LONGEST` tokens to itself and what came before.

    Args:
        query: `[1, heads, length, size]`.
        key: `[1, key heads, length, size]`; `heads` is a multiple of `key heads`.
        value: As `key`.
        scale: Factor of the scores.

    Returns:
        `[1, heads, length, size]`.
    """
    return _CausalAttention.apply(query, key, value, scale)
