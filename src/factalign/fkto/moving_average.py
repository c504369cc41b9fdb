"""z0 as a moving average over the optimizer steps (formula: `losses`), kept in checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState


class MovingReferencePoint(TrainerCallback, ExportableState):
    """The reference points of responses and of sentences; equal on all ranks, as what it is told is.

    As a callback it is saved with the trainer's state, which a checkpoint gets last, and continues from there.

    Args:
        momentum: m, above 0 and below 1.
    """

    def __init__(self, momentum: float) -> None:
        self._momentum = momentum
        self._average = torch.zeros(2, dtype=torch.float64)
        self._steps = torch.zeros(2, dtype=torch.long)

    def update(self, total: Tensor, count: Tensor) -> Tensor:
        """z0 of the next step.

        Args:
            total: `[2]`, summed rewards of the step's mismatched pairs over all ranks, and of their sentences.
            count: `[2]`, their numbers; where one is 0, the average stays as it was.

        Returns:
            `[2]` float64; 0 before there was any pair.
        """
        m, seen = self._momentum, count > 0
        average, steps = self._average.to(total.device), self._steps.to(total.device)
        mean = total.double() / count.double().clamp(min=1)
        self._average = torch.where(seen, m * average + (1 - m) * mean, average)
        self._steps = steps + seen
        return (self._average / (1 - m ** self._steps.clamp(min=1).double())).clamp(min=0)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begin anew, or as the checkpoint says (one of this run: `checkpoints`)."""
        if state.global_step == 0:
            return self._restore([0.0, 0.0], [0, 0])
        return self._restore(**state.stateful_callbacks[type(self).__name__]["attributes"])

    def state(self) -> dict[str, Any]:
        """What is saved; numbers survive JSON bit by bit."""
        attributes = {"average": self._average.tolist(), "steps": self._steps.tolist()}
        return {"args": {"momentum": self._momentum}, "attributes": attributes}

    def _restore(self, average: list[float], steps: list[int]) -> None:
        self._average = torch.tensor(average, dtype=torch.float64)
        self._steps = torch.tensor(steps)
