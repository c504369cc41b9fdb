"""LoRA (Hu et al., 2021, arXiv 2106.09685, eq. 3) in one pass over its output, for peft's layers.

peft casts the input to the adapter's type, and writes the product with the base weight, the low-rank product, its
scaled copy and their sum one after the other; autograd keeps the casts. Here the low-rank products are added in place,
and only the input and its low-rank projection are kept.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class _LoRALinear(torch.autograd.Function):
    """x Wᵀ + b + s (x Aᵀ) Bᵀ with frozen W and b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
        low = x @ a.to(x.dtype).T
        ctx.scale = scale
        ctx.save_for_backward(x, low, weight, a, b)
        return linear(x, weight, bias).addmm_(low, b.to(x.dtype).T, alpha=scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, low, weight, a, b = ctx.saved_tensors
        (gradient,) = gradients
        to_low = (gradient @ b.to(x.dtype)).mul_(ctx.scale)
        to_x = (gradient @ weight).addmm_(to_low, a.to(x.dtype)) if ctx.needs_input_grad[0] else None
        to_b = (gradient.T @ low).mul_(ctx.scale)
        return to_x, None, None, (to_low.T @ x).to(a.dtype), to_b.to(b.dtype), None


def lora_linear(x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """`x` times the adapted weight.

    Args:
        x: `[..., in]`.
        weight: `[out, in]`, frozen, of the type of `x`.
        bias: `[out]`, frozen, or None.
        a: `[rank, in]`, trained, float32 as a rule.
        b: `[out, rank]`, likewise.
        scale: alpha / rank.

    Returns:
        `[..., out]` of the type of `x`.
    """
    flat = _LoRALinear.apply(x.flatten(0, -2), weight, bias, a, b, scale)
    return flat.unflatten(0, x.shape[:-1])


def install_lora(model: nn.Module) -> None:
    """Let peft's adapted linear layers compute `lora_linear`.

    What it does not cover (dropout, DoRA and other variants, a bias of the adapter, a quantized base, weights that
    DeepSpeed hands out module by module) stays with peft.

    Args:
        model: A `PeftModel` with one adapter.
    """
    from peft.tuners.lora import Linear

    for layer in model.modules():
        if type(layer) is not Linear or type(layer.base_layer) is not nn.Linear or layer.lora_variant:
            continue
        (name,) = layer.lora_A
        plain = isinstance(layer.lora_dropout[name], nn.Identity) and layer.lora_B[name].bias is None
        if plain and (layer.base_layer.bias is None or not layer.base_layer.bias.requires_grad):
            layer.forward = partial(_forward, layer, layer.forward)


def _forward(layer: Any, peft_forward: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    base = layer.base_layer
    if layer.disable_adapters or layer.merged or hasattr(base.weight, "ds_id") or base.weight.requires_grad:
        return peft_forward(x, *args, **kwargs)
    (name,) = layer.active_adapters
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    return lora_linear(x.to(base.weight.dtype), base.weight, base.bias, a, b, layer.scaling[name])
