"""The objective on a micro-batch: rewards from a forward pass, z0 of the step, the two terms, and their factors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from factalign.fkto.batches import MicroBatch, Side, StepBatch
from factalign.fkto.config import FKTOConfig
from factalign.fkto.losses import class_weights, kto_losses, reference_point, segment_sum
from factalign.fkto.models import set_checkpointing
from factalign.fkto.row_store import RowStore


class Objective:
    """The losses of `losses`, applied to what `Batches.collate` makes.

    Args:
        config: The choices.
        store: The data whose classes are balanced.

    Attributes:
        weights: (w_D, w_U) of responses.
        sentence_weights: (w_D, w_U) of sentences.
    """

    def __init__(self, config: FKTOConfig, store: RowStore) -> None:
        self._config = config
        self.weights = class_weights(config.desirable_weight, config.undesirable_weight, store.labels, "response")
        self.sentence_weights = class_weights(
            config.sentence_desirable_weight, config.sentence_undesirable_weight, store.sentence_labels, "sentence"
        )

    def rewards(self, model: nn.Module, side: Side) -> tuple[Tensor, Tensor]:
        """The rewards r of the sequences of a side `[size]` and of their labelled sentences `[m]`, in nats."""
        set_checkpointing(model, side["longest"] > self._config.checkpoint_activations_above)
        gain = model(**side["inputs"]) - side["reference"]
        return (
            segment_sum(gain, side["of_row"], side["size"]),
            segment_sum(gain, side["of_sentence"], len(side["sentence_labels"])),
        )

    def mismatched(self, model: nn.Module, pairs: Side) -> Tensor:
        """What z0 is made of: `[4]`, the sum and count of the rewards of mismatched pairs, and of their sentences."""
        rewards, sentences = self.rewards(model, pairs)
        share = pairs["sentence_share"]
        return torch.stack([rewards.sum(), rewards.new_tensor(len(rewards)), (sentences * share).sum(), share.sum()])

    def step(self, batches: Sequence[MicroBatch], sums: Tensor) -> list[StepBatch]:
        """The micro-batches of a step with its counts and its z0.

        Args:
            batches: This rank's micro-batches.
            sums: `[batches, 6]`, over all ranks, of each micro-batch: what its labels and its sentences count, and
                `mismatched`.
        """
        total = sums.sum(0)
        num_labels, num_sentences = torch.where(total[:2] > 0, total[:2], 1).float()
        result: list[StepBatch] = []
        for batch, own in zip(batches, sums, strict=True):
            kl = (total if self._config.kl_scope == "step" else own)[2:].float()
            result.append(
                {
                    **batch,
                    "pairs": None,
                    "num_labels": num_labels,
                    "num_sentences": num_sentences,
                    "z0": reference_point(kl[0], kl[1]),
                    "z0_sentence": reference_point(kl[2], kl[3]),
                }
            )
        return result

    def terms(self, inputs: StepBatch, rewards: Tensor, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """This micro-batch's share of the step's response loss and sentence loss, without their factors.

        Args:
            inputs: The micro-batch.
            rewards: `[size]`, of its rows.
            sentences: `[m]`, of their sentences.
        """
        side, config = inputs["rows"], self._config
        response = inputs["label_weights"] * kto_losses(
            rewards[inputs["labelled"]], inputs["labels"], inputs["z0"], config.beta, self.weights
        )
        sentence = side["sentence_counts"] * kto_losses(
            sentences, side["sentence_labels"], inputs["z0_sentence"], config.sentence_beta, self.sentence_weights
        )
        return response.sum() / inputs["num_labels"], sentence.sum() / inputs["num_sentences"]

    def factors(self, step: int) -> tuple[float, float]:
        """(λ, λ_s) of a step, counted from 0; alternating, each is 0 by turns."""
        factors = (
            self._config.response_weight if self._config.uses_responses else 0.0,
            self._config.sentence_weight if self._config.uses_sentences else 0.0,
        )
        if self._config.schedule == "joint" or 0.0 in factors:
            return factors
        return (factors[0], 0.0) if step % 2 == 0 else (0.0, factors[1])
