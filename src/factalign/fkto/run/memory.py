"""How much memory a training takes: what is kept is counted, and one pass is run with tensors that hold no numbers."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.preparation import set_checkpointing
from factalign.fkto.model.trunk import decoder_layers
from factalign.fkto.rows.batches import ModelInputs

NF4 = 0.5 + 4 / 64
"""Bytes of a parameter in NF4, with one float32 for each block of 64 (QLoRA, arXiv 2305.14314, section 3)."""

BLOCKWISE = 1 + 4 / 256
"""Bytes of a number in 8 bits, with one float32 for each block of 256 (bitsandbytes)."""

STATES: dict[str, float] = {
    "adamw_torch": 8, "adamw_torch_fused": 8, "adamw_anyprecision": 8, "stable_adamw": 8, "paged_adamw_32bit": 8,
    "ademamix": 12, "paged_ademamix_32bit": 12, "ademamix_8bit": 3 * BLOCKWISE, "paged_ademamix_8bit": 3 * BLOCKWISE,
    "adamw_bnb_8bit": 2 * BLOCKWISE, "adamw_8bit": 2 * BLOCKWISE, "paged_adamw_8bit": 2 * BLOCKWISE,
    "adamw_torch_8bit": 2 * BLOCKWISE, "lion_32bit": 4, "paged_lion_32bit": 4, "lion_8bit": BLOCKWISE,
    "paged_lion_8bit": BLOCKWISE, "rmsprop": 4, "rmsprop_bnb": 4, "rmsprop_bnb_32bit": 4, "rmsprop_bnb_8bit": BLOCKWISE,
    "adagrad": 4, "sgd": 0,
}  # fmt: skip
"""Bytes of an optimizer's state for each trained parameter; others are taken for AdamW."""


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of `tensors`, each counted once."""
    return sum(t.numel() * t.element_size() for t in {id(t): t for t in tensors}.values())


def weights_size(model: nn.Module, config: FKTOConfig) -> int:
    """Bytes of the parameters and buffers of a prepared model."""
    size = size_of((*model.parameters(), *model.buffers()))
    if not config.load_in_4bit:
        return size
    quantized = [p for layer in decoder_layers(model) for p in layer.parameters() if not p.requires_grad and p.ndim > 1]
    return size - size_of(quantized) + int(NF4 * sum(p.numel() for p in quantized))


def optimizer_size(trained: Iterable[Tensor], optimizer: str) -> int:
    """Bytes of the state of an optimizer by transformers' name."""
    rate = STATES.get(optimizer, STATES["adamw_torch"])
    # PyTorch's count the steps of each tensor in a tensor.
    counter = 4 if optimizer.startswith("adamw_torch") or optimizer in ("adagrad", "rmsprop") else 0
    return sum(int(rate * p.numel()) + counter for p in trained)


def gathered_size(model: nn.Module) -> int:
    """Bytes of the parameters that a rank of a sharded model holds whole at a time.

    Those are two layers, of which one is fetched while the other computes, and what is outside of the layers.
    """
    layers = decoder_layers(model)
    inside = {id(p) for p in layers.parameters()}
    outside = size_of(p for p in model.parameters() if id(p) not in inside)
    return outside + 2 * max(size_of(layer.parameters()) for layer in layers)


class _Live(TorchDispatchMode):
    """Follows the tensors that come into being within, until they are freed.

    Attributes:
        live: Their bytes now.
        peak: The most that there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def ignore(self, tensors: Iterable[Tensor]) -> None:
        """These were there before."""
        self._known.update(t.untyped_storage()._cdata for t in tensors)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._known:
                    self._known.add(storage._cdata)
                    self.live += storage.nbytes()
                    weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return result

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def pass_size(model: nn.Module, inputs: ModelInputs, *, checkpointing: bool) -> int:
    """Bytes at the peak of a forward and backward pass, without the gradients that are kept.

    Args:
        model: A prepared model on the meta device; its parameters become fake tensors of the CPU, which know their
            type and size, so that it takes the way through its code that it takes with real ones.
        inputs: The rows of the pass.
        checkpointing: Whether activations are recomputed.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        _fake(model)
        return _peak(model, inputs, checkpointing)


def _fake(model: nn.Module) -> None:
    twins: dict[int, Tensor] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                twin = torch.empty(parameter.shape, dtype=parameter.dtype)
                twins.setdefault(id(parameter), nn.Parameter(twin, parameter.requires_grad))
                module._parameters[name] = twins[id(parameter)]
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else torch.empty(buffer.shape, dtype=buffer.dtype)


def _peak(model: nn.Module, inputs: ModelInputs, checkpointing: bool) -> int:
    set_checkpointing(model, checkpointing)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    # What is kept of a gradient is counted elsewhere.
    hooks = [p.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None)) for p in trained]
    live = _Live()
    live.ignore((*model.parameters(), *model.buffers()))
    with live:
        logps, _ = model(**inputs, with_entropies=True)
        logps.sum().backward()
    for hook in hooks:
        hook.remove()
    return live.peak
