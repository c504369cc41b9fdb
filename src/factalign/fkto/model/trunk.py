"""Training the top layers only: what lies below them is computed once per sequence and shared with the reference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def decoder_of(model: nn.Module) -> nn.Module:
    """The part of a causal language model, or of a multimodal one, that makes hidden states of tokens."""
    found = model.get_decoder()
    return model.model if found is model else found  # Llama 4 and Mllama name their text model otherwise


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The list of a causal language model's layers.

    Raises:
        ValueError: There is no list of as many modules as the configuration names.
    """
    count = model.config.get_text_config().num_hidden_layers
    # A vision tower beside the decoder may have as many.
    for module in decoder_of(model).modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ValueError(f"{type(model).__name__} has no list of {count} layers; method 'layers' does not fit it")


class FrozenTrunk:
    """Lets a model run up to layer `split`, or from there on, without changing its parameters' names.

    Args:
        model: A causal language model; its layers' `forward` is wrapped.
        split: Index of the first trained layer.

    Attributes:
        is_recording: Whether forward passes stop at `split`, see `recording`.
    """

    def __init__(self, model: nn.Module, split: int) -> None:
        self.split = split
        self._given: Tensor | None = None
        self.is_recording = False
        self._recorded: Tensor | None = None
        for index, layer in enumerate(decoder_layers(model)):
            layer.forward = self._wrap(index, layer.forward)

    @contextmanager
    def starting_from(self, states: Tensor) -> Iterator[None]:
        """Within, the layers below `split` do nothing and layer `split` receives `states`."""
        self._given = states
        try:
            yield
        finally:
            self._given = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Within, the layers from `split` on do nothing; `recorded` holds what layer `split` would receive."""
        self.is_recording = True
        try:
            yield
        finally:
            self.is_recording = False

    @property
    def recorded(self) -> Tensor:
        """The input of layer `split` in the last forward pass that was recorded."""
        if self._recorded is None:
            raise RuntimeError("no forward pass was recorded")
        return self._recorded

    def _wrap(self, index: int, forward: Any) -> Any:
        def run(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self.is_recording and index >= self.split:
                if index == self.split:
                    self._recorded = hidden_states
                return hidden_states
            if self._given is not None:
                if index < self.split:
                    return hidden_states
                if index == self.split:
                    hidden_states = self._given
            return forward(hidden_states, *args, **kwargs)

        return run


class StateStore:
    """Tensors by key: in memory up to a budget, the rest in one file.

    Args:
        budget: Bytes of memory to use.
        path: The file for what exceeds it; made when needed, removed by `close`.
    """

    def __init__(self, budget: int, path: Path) -> None:
        self.budget = budget
        self.path = path
        self._used = 0
        self._end = 0
        self._memory: dict[str, Tensor] = {}
        self._disk: dict[str, tuple[int, torch.Size, torch.dtype]] = {}
        path.unlink(missing_ok=True)  # a killed run may have left its own

    def __contains__(self, key: str) -> bool:
        return key in self._memory or key in self._disk

    def put(self, key: str, states: Tensor) -> None:
        """Keep a copy of `states`."""
        size = states.numel() * states.element_size()
        if self._used + size <= self.budget:
            self._memory[key] = states.to("cpu", copy=True)
            self._used += size
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(states.cpu().contiguous().view(torch.uint8).numpy().tobytes())
        self._disk[key] = (self._end, states.shape, states.dtype)
        self._end += size

    def get(self, key: str) -> Tensor:
        """The tensor kept under `key`."""
        if key in self._memory:
            return self._memory[key]
        offset, shape, dtype = self._disk[key]
        count = shape.numel() * dtype.itemsize
        data = np.fromfile(self.path, dtype=np.uint8, count=count, offset=offset)
        return torch.from_numpy(data).view(dtype).view(shape)

    def close(self) -> None:
        """Forget everything."""
        self._memory.clear()
        self._disk.clear()
        self.path.unlink(missing_ok=True)
