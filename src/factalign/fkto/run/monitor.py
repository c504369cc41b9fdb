"""The objective's own numbers for the training log, summed since the last row and over all ranks.

The sums stay on the device until a row is written: asking for a number sooner would wait for all work under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from factalign.fkto.losses import k3
from factalign.fkto.rows.batches import StepBatch

LOSS_SUMS = (
    "response_loss", "sentence_loss", "nll_loss", "router_loss", "micro_batches", "z0", "z0_sentence", "tokens",
    "first_abs_reward", "first_rows",
    "desirable", "desirable_weight", "desirable_reward", "undesirable", "undesirable_weight", "undesirable_reward",
    "sentence_desirable", "sentence_desirable_weight", "sentence_desirable_reward",
    "sentence_undesirable", "sentence_undesirable_weight", "sentence_undesirable_reward",
)  # fmt: skip
TOKEN_SUMS = ("scored_tokens", "logp", "entropy", "reference_kl", "end_tokens", "end_logp")
SUMS = LOSS_SUMS + TOKEN_SUMS


class Metrics:
    """Sums over the micro-batches since the last log row.

    Args:
        beta: β of responses; rewards are logged as β·r.
        sentence_beta: β of sentences.
        device: Where the sums are kept, that of the model.

    Attributes:
        abs_reward_at_start: Mean |r| of the rows of the first step, in the unit of r; None before it is logged.
    """

    def __init__(self, beta: float, sentence_beta: float, device: torch.device) -> None:
        self._betas = {"": beta, "sentence_": sentence_beta}
        self._sums = torch.zeros(len(SUMS), dtype=torch.float64, device=device)
        self._began = time.monotonic()
        self.abs_reward_at_start: float | None = None

    def start_clock(self) -> None:
        """Count the seconds of the next row from now on."""
        self._began = time.monotonic()

    def add(self, inputs: StepBatch, rewards: Tensor, sentences: Tensor, losses: tuple[Tensor, ...], step: int) -> None:
        """Add a micro-batch.

        Args:
            inputs: The micro-batch.
            rewards: `[size]`, r of its rows.
            sentences: `[m]`, r of their sentences.
            losses: Its shares of the step's terms, see `Objective.terms`.
            step: Optimizer steps before this one.
        """
        rewards, sentences = rewards.detach().double(), sentences.detach().double()
        counting, first = rewards[inputs["counting"]], int(step == 0)
        values = (
            *losses, 1, inputs["z0"], inputs["z0_sentence"], inputs["tokens"],
            first * counting.abs().sum(), first * len(counting),
            *_by_class(rewards[inputs["labelled"]], inputs["labels"], inputs["label_weights"]),
            *_by_class(sentences, inputs["rows"]["sentence_labels"], inputs["rows"]["sentence_weights"]),
        )  # fmt: skip
        self._sums[: len(LOSS_SUMS)] += torch.stack(
            [v.detach().double() if isinstance(v, Tensor) else self._sums.new_full((), v) for v in values]
        )

    def add_tokens(self, inputs: StepBatch, logps: Tensor, entropies: Tensor) -> None:
        """Add the scored tokens of a micro-batch's rows.

        Args:
            inputs: The micro-batch.
            logps: `[n]`, log-probabilities under the policy, in nats.
            entropies: `[n]`, entropies of the policy's distributions there, in nats.
        """
        side, logps = inputs["rows"], logps.detach().double()
        counts = logps.new_zeros(side["size"]).index_fill(0, inputs["counting"], 1)[side["of_row"]]
        ends = logps[inputs["ends"]]
        sums = [(counts * each).sum() for each in (logps, entropies, k3(logps - side["reference"]))]
        self._sums[len(LOSS_SUMS) :] += torch.stack(
            [counts.sum(), *sums, self._sums.new_full((), len(ends)), ends.sum()]
        )

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
            "nll_loss": total["nll_loss"] / steps,
            "z0": total["z0"] / max(total["micro_batches"], 1),
            "z0_sentence": total["z0_sentence"] / max(total["micro_batches"], 1),
        }
        if total["router_loss"]:  # of a mixture of experts it is never 0
            row["router_loss"] = total["router_loss"] / steps
        for prefix, beta in self._betas.items():
            means: dict[str, float | None] = {}
            for name in ("desirable", "undesirable"):
                weight = total[f"{prefix}{name}_weight"]
                means[name] = beta * total[f"{prefix}{name}_reward"] / weight if weight else None
                row[f"{prefix}reward_{name}"] = means[name]
                row[f"{prefix}num_{name}"] = int(total[f"{prefix}{name}"])
            good, bad = means["desirable"], means["undesirable"]
            row[f"{prefix}margin"] = None if good is None or bad is None else good - bad
        for key, name, number in (
            ("mean_logp", "logp", "scored_tokens"),
            ("mean_entropy", "entropy", "scored_tokens"),
            ("reference_kl", "reference_kl", "scored_tokens"),
            ("end_logp", "end_logp", "end_tokens"),
        ):
            row[key] = total[name] / total[number] if total[number] else None
        if total["first_rows"]:
            self.abs_reward_at_start = total["first_abs_reward"] / total["first_rows"]
            row["abs_reward_at_start"] = self.abs_reward_at_start
        row["tokens"] = int(total["tokens"])
        row["tokens_per_second"] = total["tokens"] / max(now - self._began, 1e-9)
        self._sums.zero_()
        self._began = now
        return row


def _by_class(rewards: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    """Count, weight and weighted rewards of the desirable ones, and of the others; a soft label is one of each."""
    shares = labels.double(), 1 - labels.double()
    return tuple(
        value
        for share in shares
        for value in ((share > 0).sum(), (share * weights).sum(), (share * weights * rewards).sum())
    )
