"""The objective on a micro-batch: rewards from a forward pass, the two terms, and their factors."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from factalign.fkto.config import FKTOConfig
from factalign.fkto.losses import class_weights, kto_losses, segment_sum
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

    def rewards(self, model: nn.Module, side: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The rewards r of the sequences of a side `[size]` and of their labelled sentences `[m]`, in nats."""
        set_checkpointing(model, side["longest"] > self._config.checkpoint_activations_above)
        gain = model(**side["inputs"]) - side["reference"]
        return (
            segment_sum(gain, side["of_row"], side["size"]),
            segment_sum(gain, side["of_sentence"], len(side["sentence_labels"])),
        )

    def terms(self, inputs: dict[str, Any], rewards: Tensor, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """This micro-batch's share of the step's response loss and sentence loss, without their factors.

        Args:
            inputs: The micro-batch, with the step's `z0`, `z0_sentence`, `num_labels` and `num_sentences`.
            rewards: `[size]`, of its rows.
            sentences: `[m]`, of their sentences.
        """
        side, config = inputs["rows"], self._config
        response = kto_losses(rewards[inputs["labelled"]], inputs["labels"], inputs["z0"], config.beta, self.weights)
        sentence = side["sentence_share"] * kto_losses(
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
