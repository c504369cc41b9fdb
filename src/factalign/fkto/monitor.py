"""The objective's own numbers for the training log, summed since the last row and over all ranks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

SUMS = (
    "response_loss", "sentence_loss", "tokens", "first_abs_reward", "first_rows",
    "desirable", "desirable_reward", "undesirable", "undesirable_reward",
    "sentence_desirable", "sentence_desirable_reward", "sentence_undesirable", "sentence_undesirable_reward",
)  # fmt: skip


class Metrics:
    """Sums over the micro-batches since the last log row.

    Args:
        beta: β of responses; rewards are logged as β·r.
        sentence_beta: β of sentences.

    Attributes:
        abs_reward_at_start: Mean |r| of the rows of the first step, in nats; None before it is logged.
    """

    def __init__(self, beta: float, sentence_beta: float) -> None:
        self._betas = {"": beta, "sentence_": sentence_beta}
        self._sums = torch.zeros(len(SUMS), dtype=torch.float64)
        self._points: list[tuple[float, float]] = []
        self._began = time.monotonic()
        self.abs_reward_at_start: float | None = None

    def start_clock(self) -> None:
        """Count the seconds of the next row from now on."""
        self._began = time.monotonic()

    def add(
        self, inputs: dict[str, Any], rewards: Tensor, sentences: Tensor, losses: tuple[Tensor, Tensor], step: int
    ) -> None:
        """Add a micro-batch.

        Args:
            inputs: The micro-batch, with its `z0` and `z0_sentence`.
            rewards: `[size]`, r of its rows.
            sentences: `[m]`, r of their sentences.
            losses: Its shares of the response loss and of the sentence loss.
            step: Optimizer steps before this one.
        """
        rewards, sentences, labelled = rewards.detach(), sentences.detach(), rewards.detach()[inputs["labelled"]]
        counting, first = rewards[inputs["counting"]], int(step == 0)
        good, good_sentences = inputs["labels"], inputs["rows"]["sentence_labels"]
        self._sums += torch.stack(
            [
                value.double().cpu()
                for value in (
                    losses[0].detach(), losses[1].detach(), torch.tensor(inputs["tokens"]),
                    first * counting.abs().sum(), torch.tensor(first * len(counting)),
                    good.sum(), labelled[good].sum(), (~good).sum(), labelled[~good].sum(),
                    good_sentences.sum(), sentences[good_sentences].sum(),
                    (~good_sentences).sum(), sentences[~good_sentences].sum(),
                )
            ]
        )  # fmt: skip
        self._points.append((float(inputs["z0"]), float(inputs["z0_sentence"])))

    def row(self, steps: int, over_ranks: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """The log row of the last `steps` steps, after which all sums begin anew.

        Args:
            steps: Optimizer steps since the last row.
            over_ranks: Sums a tensor over all ranks; called on all of them.
        """
        total = dict(zip(SUMS, over_ranks(self._sums).tolist(), strict=True))
        now = time.monotonic()
        row: dict[str, Any] = {
            "response_loss": total["response_loss"] / steps,
            "sentence_loss": total["sentence_loss"] / steps,
            "z0": sum(z for z, _ in self._points) / max(len(self._points), 1),
            "z0_sentence": sum(z for _, z in self._points) / max(len(self._points), 1),
        }
        for prefix, beta in self._betas.items():
            means: dict[str, float | None] = {}
            for name in ("desirable", "undesirable"):
                count = total[f"{prefix}{name}"]
                means[name] = beta * total[f"{prefix}{name}_reward"] / count if count else None
                row[f"{prefix}reward_{name}"] = means[name]
                row[f"{prefix}num_{name}"] = int(count)
            good, bad = means["desirable"], means["undesirable"]
            row[f"{prefix}margin"] = None if good is None or bad is None else good - bad
        if total["first_rows"]:
            self.abs_reward_at_start = total["first_abs_reward"] / total["first_rows"]
            row["abs_reward_at_start"] = self.abs_reward_at_start
        row["tokens"] = int(total["tokens"])
        row["tokens_per_second"] = total["tokens"] / max(now - self._began, 1e-9)
        self._sums.zero_()
        self._points.clear()
        self._began = now
        return row
