"""The objective on a micro-batch: rewards from a forward pass, z0 of the step, the terms, and their factors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from factalign.fkto.config import FKTOConfig
from factalign.fkto.losses import class_weights, kto_losses, nll_sum, reference_point, segment_rewards
from factalign.fkto.model.preparation import set_checkpointing
from factalign.fkto.moving_average import MovingReferencePoint
from factalign.fkto.rows.batches import MicroBatch, Side, StepBatch
from factalign.fkto.rows.row_store import RowStore

Terms = tuple[Tensor, Tensor, Tensor, Tensor]
"""Shares of a step's response loss, sentence loss, negative log-likelihood and router loss; scalars."""


class Objective:
    """The losses of `losses`, applied to what `Batches.collate` makes.

    Args:
        config: The choices.
        store: The data whose classes are balanced.

    Attributes:
        weights: (w_D, w_U) of responses.
        sentence_weights: (w_D, w_U) of sentences.
        moving_z0: z0 over the steps; None where each step has its own.
    """

    def __init__(self, config: FKTOConfig, store: RowStore) -> None:
        self._config = config
        self.moving_z0 = MovingReferencePoint(config.z0_momentum) if config.z0_momentum else None
        self.weights = class_weights(config.desirable_weight, config.undesirable_weight, store.labels, "response")
        self.sentence_weights = class_weights(
            config.sentence_desirable_weight, config.sentence_undesirable_weight, store.sentence_labels, "sentence"
        )

    def logps(self, model: nn.Module, side: Side) -> tuple[Tensor, Tensor, Tensor]:
        """The policy's log-probabilities of the scored tokens of a side, `[n]`, and its entropies there, in nats.

        The third is the load-balancing loss of the pass, a scalar; 0 where none is asked for.
        """
        above = self._config.checkpoint_activations_above
        set_checkpointing(model, above is not None and side["inputs"]["input_ids"].numel() > above)
        if self._config.router_loss_weight:
            return model(**side["inputs"], with_entropies=True, with_router_loss=True)
        logps, entropies = model(**side["inputs"], with_entropies=True)
        return logps, entropies, logps.new_zeros(())

    def rewards(self, logps: Tensor, side: Side) -> tuple[Tensor, Tensor]:
        """The rewards r of the sequences of a side `[size]` and of their labelled sentences `[m]`."""
        gain, kind = logps - side["reference"], self._config.reward_normalisation
        return (
            segment_rewards(gain, side["of_row"], side["size"], kind),
            segment_rewards(gain, side["of_sentence"], len(side["sentence_labels"]), kind),
        )

    def mismatched(self, model: nn.Module, pairs: Side) -> Tensor:
        """What z0 is made of: `[4]`, the sum and count of the rewards of mismatched pairs, and of their sentences."""
        rewards, sentences = self.rewards(model(**pairs["inputs"]), pairs)
        share = pairs["sentence_share"]
        return torch.stack([rewards.sum(), rewards.new_tensor(len(rewards)), (sentences * share).sum(), share.sum()])

    def counts(self, batch: MicroBatch) -> Tensor:
        """What a micro-batch counts in the means of the step: `[4]`, its labels, sentences, imitated and all tokens."""
        imitated = batch["nll_weights"][batch["rows"]["of_row"]].sum()
        labels, sentences = batch["label_weights"].sum(), batch["rows"]["sentence_counts"].sum()
        return torch.stack([labels, sentences, imitated, imitated.new_tensor(batch["tokens"])])

    def step(self, batches: Sequence[MicroBatch], sums: Tensor, *, evaluating: bool = False) -> list[StepBatch]:
        """The micro-batches of a step with its counts and its z0.

        Args:
            batches: This rank's micro-batches.
            sums: `[batches, 8]`, over all ranks, of each micro-batch: `counts` and `mismatched`.
            evaluating: The step is none of training: its z0 is its own, and no moving average takes notice.
        """
        total = sums.sum(0)
        num_labels, num_sentences, num_nll, num_tokens = torch.where(total[:4] > 0, total[:4], 1).float()
        average = None if evaluating else self.moving_z0
        moving = None if average is None else average.update(total[4::2], total[5::2]).float()
        result: list[StepBatch] = []
        for batch, own in zip(batches, sums, strict=True):
            kl = (total if self._config.kl_scope == "step" else own)[4:].float()
            z0 = (reference_point(kl[0], kl[1]), reference_point(kl[2], kl[3])) if moving is None else moving
            result.append(
                {
                    **batch,
                    "pairs": None,
                    "num_labels": num_labels,
                    "num_sentences": num_sentences,
                    "num_nll": num_nll,
                    "num_tokens": num_tokens,
                    "z0": z0[0],
                    "z0_sentence": z0[1],
                }
            )
        return result

    def terms(self, inputs: StepBatch, logps: Tensor, rewards: Tensor, sentences: Tensor, router: Tensor) -> Terms:
        """This micro-batch's share of the step's response loss, sentence loss, negative log-likelihood and router loss.

        They come without their factors.

        Args:
            inputs: The micro-batch.
            logps: `[n]`, of its rows' scored tokens.
            rewards: `[size]`, of its rows.
            sentences: `[m]`, of their sentences.
            router: The load-balancing loss of their forward pass.
        """
        side, config = inputs["rows"], self._config
        response = inputs["label_weights"] * kto_losses(
            rewards[inputs["labelled"]], inputs["labels"], inputs["z0"], config.beta, self.weights
        )
        sentence = side["sentence_counts"] * kto_losses(
            sentences, side["sentence_labels"], inputs["z0_sentence"], config.sentence_beta, self.sentence_weights
        )
        nll = nll_sum(logps, inputs["nll_weights"][side["of_row"]])
        return (
            response.sum() / inputs["num_labels"],
            sentence.sum() / inputs["num_sentences"],
            nll / inputs["num_nll"],
            router * (inputs["tokens"] / inputs["num_tokens"]),
        )

    def loss(self, terms: Terms, step: int) -> Tensor:
        """The sum of `terms`, each times its factor in a step, counted from 0."""
        response_factor, sentence_factor = self.factors(step)
        response, sentence, nll, router = terms
        loss = response_factor * response + sentence_factor * sentence
        if self._config.nll_weight:
            loss = loss + self._config.nll_weight * nll
        return loss + self._config.router_loss_weight * router if self._config.router_loss_weight else loss

    def factors(self, step: int) -> tuple[float, float]:
        """(λ, λ_s) of a step, counted from 0; alternating, each is 0 by turns."""
        factors = (
            self._config.response_weight if self._config.uses_responses else 0.0,
            self._config.sentence_weight if self._config.uses_sentences else 0.0,
        )
        if self._config.schedule == "joint" or 0.0 in factors:
            return factors
        return (factors[0], 0.0) if step % 2 == 0 else (0.0, factors[1])
