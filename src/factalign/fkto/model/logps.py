"""Per-token log-probabilities at scored positions, without a [batch, length, vocabulary] tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LEADING = 4
SEGMENT = 256
CACHED = 16
"""Positions whose logits fit the cache of a CPU."""


@dataclass(frozen=True)
class LogitRule:
    """What a model makes of the products z with its head: logits = c·tanh(s·z / c), or s·z without c.

    Attributes:
        scale: s.
        softcap: c, the bound of the logits (Gemma 2, arXiv 2408.00118, section 2); None: unbounded.
    """

    scale: float = 1.0
    softcap: float | None = None

    def apply(self, products: Tensor) -> Tensor:
        """The logits; overwrites `products`."""
        logits = products if self.scale == 1.0 else products.mul_(self.scale)
        return logits if self.softcap is None else logits.div_(self.softcap).tanh_().mul_(self.softcap)

    def slope(self, gradient: Tensor, logits: Tensor) -> Tensor:
        """The gradient to the products, of that to the logits, which only a softcap needs; overwrites both."""
        if self.softcap is not None:
            gradient = gradient.mul_(logits.div_(self.softcap).square_().neg_().add_(1.0))
        return gradient if self.scale == 1.0 else gradient.mul_(self.scale)


PLAIN = LogitRule()


def _products(hidden: Tensor, weight: Tensor) -> Tensor:
    """`hidden @ weight.T`, `[c, vocabulary]`: in float32 where the device can, else rounded to the type of `hidden`."""
    if hidden.is_cuda and hidden.dtype not in (torch.float32, torch.float64):
        return torch.mm(hidden, weight.T, out_dtype=torch.float32)
    return hidden @ weight.T


def _logits(
    products: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, rule: LogitRule
) -> Tensor:
    """float32 logits of some positions, from their `_products`, which may be overwritten.

    CPU kernels round products to bfloat16, so those that decide a log-probability, the target's and the largest, are
    computed again in float32. (Measured on SmolLM2: the error of a log-probability falls from 0.024 to 0.002 nats.)
    """
    if products.dtype not in (torch.float32, torch.float64):
        rounded = products
        largest = _largest(rounded if bias is None else rounded + bias, min(LEADING, len(weight)))
        decisive = torch.cat([targets[:, None], largest], dim=1)
        exact = torch.bmm(weight[decisive].float(), hidden.float().unsqueeze(2)).squeeze(2)
        products = rounded.float().scatter_(1, decisive, exact)
    return rule.apply(products if bias is None else products.add_(bias))


def _largest(values: Tensor, count: int) -> Tensor:
    """Indices `[c, count]` of the largest of each row: they lie in the segments that lead, which are found faster."""
    whole = values.shape[1] // SEGMENT * SEGMENT
    if whole < count * SEGMENT:
        return values.topk(count, sorted=False).indices
    leaders = values[:, :whole].unflatten(1, (-1, SEGMENT)).amax(-1).topk(count, sorted=False).indices
    inside = (leaders[:, :, None] * SEGMENT + torch.arange(SEGMENT, device=values.device)).flatten(1)
    rest = torch.arange(whole, values.shape[1], device=values.device).expand(len(values), -1)
    candidates = torch.cat([inside, rest], dim=1)
    return candidates.gather(1, values.gather(1, candidates).topk(count, sorted=False).indices)


def _softmax(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities `[c, vocabulary]`, log-probabilities of `targets` `[c]` and logsumexp `[c]`, by one exponential."""
    probabilities = torch.softmax(logits, dim=-1)
    total = logits.amax(-1) - probabilities.amax(-1).log()  # of the largest: it cannot vanish
    return probabilities, logits.gather(1, targets[:, None]).squeeze(1) - total, total


def _parts(start: int, stop: int, size: int) -> Iterator[slice]:
    return (slice(at, min(at + size, stop)) for at in range(start, stop, size))


def _pieces(
    products: Tensor,
    part: slice,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    rule: LogitRule,
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Of the positions of a chunk those that are worked on at a time, on a CPU as many as its cache holds.

    With each come their rows of `products`, which may be overwritten, and their logits.
    """
    for piece in _parts(part.start, part.stop, CACHED if hidden.device.type == "cpu" else part.stop - part.start):
        own = products[piece.start - part.start : piece.stop - part.start]
        yield piece, own, _logits(own, hidden[piece], weight, bias, targets[piece], rule)


class _ChunkedLogps(torch.autograd.Function):
    """log softmax(rule(hidden @ weight.T + bias))[target], one chunk of positions at a time.

    With a frozen head, forward already forms d logp / d hidden, which for plain logits is weight[target] - softmax ·
    weight (`[n, width]`), so backward recomputes nothing. With a trained head, whose gradient needs the incoming one,
    backward runs the chunks again.

    The entropy of a position, which has no gradient, is logsumexp(logits) - softmax · logits. Where the slope is
    formed and logits are linear in the hidden state, it takes no pass over the vocabulary: hidden · slope =
    logits[target] - softmax · logits, so the entropy is hidden · slope - logp.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        chunk: int,
        rule: LogitRule,
        with_entropies: bool,
    ) -> tuple[Tensor, Tensor]:
        precision = torch.promote_types(hidden.dtype, torch.float32)
        logps = torch.empty(len(targets), dtype=precision, device=hidden.device)
        entropies = torch.empty_like(logps if with_entropies else logps[:0])
        ctx.trained = any(ctx.needs_input_grad[1:3])
        slope = torch.empty_like(hidden) if ctx.needs_input_grad[0] and not ctx.trained else None
        from_slope = slope is not None and bias is None and rule.softcap is None
        compute = weight.to(hidden.dtype)
        for part in _parts(0, len(targets), chunk):
            products = _products(hidden[part], compute)
            for piece, own, logits in _pieces(products, part, hidden, compute, bias, targets, rule):
                probabilities, logps[piece], total = _softmax(logits, targets[piece])
                if with_entropies and not from_slope:
                    entropies[piece] = total - torch.linalg.vecdot(probabilities, logits)
                if slope is not None:
                    own.copy_(probabilities if rule == PLAIN else _slope(probabilities, logits, targets[piece], rule))
            if slope is not None:
                products = products.to(hidden.dtype) @ compute
                slope[part] = compute[targets[part]] - products if rule == PLAIN else products
        if slope is not None and with_entropies and from_slope:
            entropies = torch.linalg.vecdot(hidden.to(precision), slope.to(precision)) - logps
        ctx.mark_non_differentiable(entropies)
        ctx.chunk, ctx.rule = chunk, rule
        ctx.save_for_backward(*((hidden, weight, bias, targets) if ctx.trained else (slope,)))
        return logps, entropies

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, _ = gradients
        if not ctx.trained:
            (slope,) = ctx.saved_tensors
            return (slope * gradient[:, None]).to(slope.dtype), None, None, None, None, None, None
        hidden, weight, bias, targets = ctx.saved_tensors
        to_hidden = torch.empty_like(hidden)
        to_weight = torch.zeros_like(weight, dtype=gradient.dtype)
        to_bias = None if bias is None else torch.zeros_like(bias, dtype=gradient.dtype)
        compute = weight.to(hidden.dtype)
        for part in _parts(0, len(targets), ctx.chunk):
            products = _products(hidden[part], compute)
            for piece, own, logits in _pieces(products, part, hidden, compute, bias, targets, ctx.rule):
                slope = _slope(torch.softmax(logits, dim=-1), logits, targets[piece], ctx.rule)
                slope = slope.mul_(gradient[piece, None])
                if to_bias is not None:
                    to_bias += slope.sum(0)
                own.copy_(slope)
            slopes = products.to(hidden.dtype)
            to_hidden[part] = slopes @ compute
            to_weight += slopes.T @ hidden[part]
        return to_hidden, to_weight.to(weight.dtype), None if to_bias is None else to_bias.to(bias.dtype), *[None] * 4


def _slope(softmax: Tensor, logits: Tensor, targets: Tensor, rule: LogitRule) -> Tensor:
    """D logp / d product, `[c, vocabulary]`; overwrites `softmax` and `logits`."""
    slope = softmax.neg_()
    slope.scatter_add_(1, targets[:, None], torch.ones_like(slope[:, :1]))
    return rule.slope(slope, logits)


def chunked_logps(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    chunk: int = 256,
    bias: Tensor | None = None,
    rule: LogitRule = PLAIN,
) -> Tensor:
    """log-probabilities of `targets`.

    Args:
        hidden: `[n, width]`, last hidden states of the positions before the targets.
        weight: `[vocabulary, width]`, the output head; it may be trained or frozen, in another type than `hidden`.
        targets: `[n]` token ids.
        chunk: Positions whose logits exist at the same time.
        bias: `[vocabulary]`, of the output head, or None.
        rule: What the model does to the products.

    Returns:
        `[n]` float32, in nats.
    """
    return _ChunkedLogps.apply(hidden, weight, bias, targets, chunk, rule, False)[0]


def chunked_logps_and_entropies(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    chunk: int = 256,
    bias: Tensor | None = None,
    rule: LogitRule = PLAIN,
) -> tuple[Tensor, Tensor]:
    """`chunked_logps`, and the entropies of the distributions that they are of.

    Returns:
        `[n]` float32 and `[n]` float32 without a gradient, in nats.
    """
    return _ChunkedLogps.apply(hidden, weight, bias, targets, chunk, rule, True)
