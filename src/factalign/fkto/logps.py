"""Per-token log-probabilities at scored positions, without a [batch, length, vocabulary] tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LEADING = 4
CACHED = 4


def _logits(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """float32 logits `[c, vocabulary]` of a chunk.

    CUDA multiplies bfloat16 into a float32 result. CPU kernels round the result to bfloat16, so there the logits that
    decide a log-probability, the target's and the largest, are computed again in float32. (Measured on SmolLM2: the
    error of a log-probability falls from 0.024 to 0.002 nats.)
    """
    if hidden.dtype in (torch.float32, torch.float64):
        return hidden @ weight.T
    if hidden.is_cuda:
        return torch.mm(hidden, weight.T, out_dtype=torch.float32)
    logits = hidden @ weight.T
    largest = logits.topk(min(LEADING, len(weight)), dim=-1, sorted=False).indices
    decisive = torch.cat([targets[:, None], largest], dim=1)
    exact = torch.bmm(weight[decisive].float(), hidden.float().unsqueeze(2)).squeeze(2)
    return logits.float().scatter_(1, decisive, exact)


def _entropies(logs: Tensor) -> Tensor:
    """Entropies `[c]` of log-probabilities `[c, vocabulary]`; on a CPU in pieces that fit its cache, twice as fast."""
    pieces = logs.split(CACHED if logs.device.type == "cpu" else len(logs))
    return torch.cat([-torch.linalg.vecdot(piece.exp(), piece) for piece in pieces])


class _ChunkedLogps(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target], one chunk of positions at a time.

    With a frozen head, forward already forms d logp / d hidden = weight[target] - softmax · weight (`[n, width]`), so
    backward recomputes nothing. With a trained head, whose gradient needs the incoming one, backward runs the chunks
    again.

    The entropy of a position, which has no gradient, is logsumexp(logits) - softmax · logits. Where the slope is
    formed, it takes no pass over the vocabulary: hidden · slope = logits[target] - softmax · logits, so the entropy is
    hidden · slope - logp.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int, with_entropies: bool
    ) -> tuple[Tensor, Tensor]:
        precision = torch.promote_types(hidden.dtype, torch.float32)
        logps = torch.empty(len(targets), dtype=precision, device=hidden.device)
        entropies = torch.empty_like(logps if with_entropies else logps[:0])
        frozen = ctx.needs_input_grad[0] and not ctx.needs_input_grad[1]
        slope = torch.empty_like(hidden) if frozen else None
        compute = weight.to(hidden.dtype)
        for at in range(0, len(targets), chunk):
            part = slice(at, at + chunk)
            logs = torch.log_softmax(_logits(hidden[part], compute, targets[part]), dim=-1)
            logps[part] = logs.gather(1, targets[part, None]).squeeze(1)
            if slope is not None:
                slope[part] = compute[targets[part]] - logs.exp_().to(hidden.dtype) @ compute
            elif with_entropies:
                entropies[part] = _entropies(logs)
        if slope is not None and with_entropies:
            entropies = torch.linalg.vecdot(hidden.to(precision), slope.to(precision)) - logps
        ctx.mark_non_differentiable(entropies)
        ctx.chunk = chunk
        ctx.save_for_backward(*((slope,) if frozen else (hidden, weight, targets)))
        return logps, entropies

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, _ = gradients
        if not ctx.needs_input_grad[1]:
            (slope,) = ctx.saved_tensors
            return (slope * gradient[:, None]).to(slope.dtype), None, None, None, None
        hidden, weight, targets = ctx.saved_tensors
        to_hidden = torch.empty_like(hidden)
        to_weight = torch.zeros_like(weight, dtype=gradient.dtype)
        compute = weight.to(hidden.dtype)
        for at in range(0, len(targets), ctx.chunk):
            part = slice(at, at + ctx.chunk)
            slope = torch.softmax(_logits(hidden[part], compute, targets[part]), dim=-1).neg_()
            slope.scatter_add_(1, targets[part, None], torch.ones_like(gradient[part, None]))
            slope = slope.mul_(gradient[part, None]).to(hidden.dtype)
            to_hidden[part] = slope @ compute
            to_weight += slope.T @ hidden[part]
        return to_hidden, to_weight.to(weight.dtype), None, None, None


def chunked_logps(hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int = 256) -> Tensor:
    """log-probabilities of `targets`.

    Args:
        hidden: `[n, width]`, last hidden states of the positions before the targets.
        weight: `[vocabulary, width]`, the output head; it may be trained or frozen, in another type than `hidden`.
        targets: `[n]` token ids.
        chunk: Positions whose logits exist at the same time.

    Returns:
        `[n]` float32, in nats.
    """
    return _ChunkedLogps.apply(hidden, weight, targets, chunk, False)[0]


def chunked_logps_and_entropies(
    hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int = 256
) -> tuple[Tensor, Tensor]:
    """`chunked_logps`, and the entropies of the distributions that they are of.

    Returns:
        `[n]` float32 and `[n]` float32 without a gradient, in nats.
    """
    return _ChunkedLogps.apply(hidden, weight, targets, chunk, True)
