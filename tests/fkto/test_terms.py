"""Weights and more terms of the objective: one step of the trainer is the plain formula, however it is split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast, TrainerCallback

from factalign.fkto import FKTOConfig, FKTOTrainer
from factalign.fkto.moving_average import MovingReferencePoint

from .conftest import make_model, make_rows
from .test_trainer import _StopAt, assert_same, log_rows, make_trainer, trained

LEARNING_RATE = 0.3


def weighted_rows(count: int = 12, scale: float = 1.0) -> list[dict[str, Any]]:
    """Rows whose labels are soft and weighted by turns; one has no label, one no sentences, one weights of 0 alone."""
    rows = make_rows(count)
    for i, row in enumerate(rows):
        row["label"] = (True, False, 0.8, 0.3)[i % 4]
        row["weight"] = scale * (1.0, 0.25, 2.0)[i % 3]
        size = len(row["sentence_label"])
        row["sentence_label"] = [(True, 0.6, False, None, 0.1)[(i + k) % 5] for k in range(size)]
        row["sentence_weight"] = [scale * (0.5, 1.0, 3.0, 0.0)[(i + k) % 4] for k in range(size)]
    rows[2]["label"] = None
    rows[3]["sentence_label"] = rows[3]["sentence_weight"] = rows[3]["sentence_spans"] = None
    rows[5]["sentence_weight"] = [0.0] * len(rows[5]["sentence_label"])
    rows[6]["weight"] = 0
    return rows


def logps_by_hand(model: Any, s: Any) -> Tensor:
    ids = torch.from_numpy(s.ids).long()
    logits = model(input_ids=ids[None]).logits[0]
    return torch.log_softmax(logits[:-1], -1).gather(1, ids[1:, None])[s.start - 1 :, 0]


def weighted_mean(pairs: list[tuple[float, Tensor]]) -> Tensor:
    return sum((w * x for w, x in pairs), torch.zeros(())) / sum(w for w, _ in pairs)


class ByHand(TrainerCallback):
    """Before a step (not the first, where r is 0) is taken: its loss by the plain formula, and the weights after it."""

    def __init__(self, trainer: FKTOTrainer, step: int) -> None:
        self.trainer, self.step = trainer, step
        self.initial = make_model(len(trainer.processing_class))
        self.averages = [torch.zeros(()), torch.zeros(())]
        self.losses: dict[str, float] = {}
        self.after: dict[str, Tensor] = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step <= self.step:
            self.compute(state.global_step)

    def reward(self, gain: Tensor) -> Tensor:
        return gain.sum() / len(gain) ** {"none": 0, "sqrt": 0.5, "token": 1}[self.trainer.config.reward_normalisation]

    def reference_point(self, level: int, mean: Tensor, step: int) -> Tensor:
        m = self.trainer.config.z0_momentum
        self.averages[level] = m * self.averages[level] + (1 - m) * mean.detach()
        return (self.averages[level] / (1 - m ** (step + 1))).clamp(min=0)

    def compute(self, step: int) -> None:
        config, store, plan = self.trainer.config, self.trainer._store, self.trainer.plan
        epoch, number = divmod(step, plan.steps_per_epoch)
        micro = list(plan.micro_batches(epoch))[number * plan.accumulation : (number + 1) * plan.accumulation]
        items = [item for batch in micro for item in batch]

        def gains(sequences: list[Any]) -> list[Tensor]:
            return [logps_by_hand(self.trainer.model, s) - logps_by_hand(self.initial, s).detach() for s in sequences]

        def sentences(s: Any, gain: Tensor) -> list[Tensor]:
            return [self.reward(gain[torch.from_numpy(s.sentence == i)]) for i in s.sentences]

        def loss(label: float, r: Tensor, z0: Tensor, beta: float) -> Tensor:
            desirable, undesirable = 1 - torch.sigmoid(beta * (r - z0)), 1 - torch.sigmoid(beta * (z0 - r))
            return label * 1.5 * desirable + (1 - label) * 0.5 * undesirable

        by_response = config.sentence_reduction == "response"
        mismatched = [store.pair(item.partner, item.row) for item in items]
        kl = gains(mismatched)
        kl_parts = [sentences(s, gain) for s, gain in zip(mismatched, kl, strict=True)]
        z0 = self.reference_point(0, torch.stack([self.reward(gain) for gain in kl]).mean(), step)
        z0_s = weighted_mean([(1 / len(p) if by_response else 1, r) for p in kl_parts for r in p])
        z0_s = self.reference_point(1, z0_s, step)

        own = [store.sequences[item.row] for item in items]
        rows = [store.rows[item.row] for item in items]
        found = gains(own)
        response = weighted_mean(
            [
                (row.weight, loss(row.label, self.reward(gain), z0, config.beta))
                for row, gain in zip(rows, found, strict=True)
                if row.label is not None
            ]
        )
        parts = []
        for row, s, gain in zip(rows, own, found, strict=True):
            each = [
                (row.sentence_weight(i), loss(row.sentence_labels[i], r, z0_s, config.sentence_beta))
                for i, r in zip(s.sentences, sentences(s, gain), strict=True)
            ]
            if by_response:
                parts += [(1.0, weighted_mean(each))] if sum(w for w, _ in each) else []
            else:
                parts += each
        sentence = weighted_mean(parts)
        tokens = [
            (row.weight * float(row.label), -logp)
            for row, s in zip(rows, own, strict=True)
            if row.label is not None
            for logp in logps_by_hand(self.trainer.model, s)
        ]
        nll = weighted_mean(tokens)
        total = config.response_weight * response + config.sentence_weight * sentence + config.nll_weight * nll
        terms = {"response_loss": response, "sentence_loss": sentence, "nll_loss": nll}
        self.losses = {"loss": total.item(), **{key: term.item() for key, term in terms.items()}}
        parameters = dict(self.trainer.model.named_parameters())
        gradients = torch.autograd.grad(total, list(parameters.values()))
        self.after = {
            n: p.detach() - LEARNING_RATE * g for (n, p), g in zip(parameters.items(), gradients, strict=True)
        }


CHANGES: dict[str, Any] = {
    "beta": 0.3, "sentence_beta": 0.7, "response_weight": 0.4, "sentence_weight": 1.3, "learning_rate": LEARNING_RATE,
    "desirable_weight": 1.5, "undesirable_weight": 0.5, "sentence_desirable_weight": 1.5,
    "sentence_undesirable_weight": 0.5,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "weights": {},
    "weights_by_response": {"sentence_reduction": "response"},
    "token": {"reward_normalisation": "token", "beta": 3.0, "sentence_beta": 7.0},
    "sqrt_by_response": {"reward_normalisation": "sqrt", "sentence_reduction": "response"},
    "momentum": {"z0_momentum": 0.7, "sentence_reduction": "response"},
    "nll": {"nll_weight": 0.5},
    "nll_alone": {"nll_weight": 0.5, "response_weight": 0.0, "sentence_weight": 0.0},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_is_the_plain_formula(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, variant: str) -> None:
    trainer = make_trainer(tokenizer, tmp_path, weighted_rows(), epochs=2, max_steps=3, **CHANGES | VARIANTS[variant])
    expected = ByHand(trainer, 2)
    trainer.add_callback(expected)
    found = trained(trainer)
    row = log_rows(trainer)[2]
    assert {key: row[key] for key in expected.losses} == pytest.approx(expected.losses, abs=1e-5)
    assert_same(found, expected.after)


@pytest.mark.parametrize("variant", VARIANTS)
def test_micro_batches_do_not_change_a_step(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, variant: str) -> None:
    results = [
        trained(
            make_trainer(
                tokenizer, tmp_path / str(micro), weighted_rows(13), micro_batch_size=micro,
                **CHANGES | VARIANTS[variant],
            )
        )
        for micro in (6, 2, 1)
    ]  # fmt: skip
    for other in results[1:]:
        assert_same(other, results[0])


# ---- Weights ----


@pytest.mark.parametrize("reduction", ["sentence", "response"])
def test_the_scale_of_all_weights_changes_nothing(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, reduction: str
) -> None:
    """A power of two, so that no rounding differs either; a step's weights sum to less than 1."""
    automatic = {key: "auto" if "desirable" in key else value for key, value in CHANGES.items()}
    results = [
        trained(
            make_trainer(
                tokenizer, tmp_path / str(scale), weighted_rows(scale=scale), sentence_reduction=reduction, **automatic
            )
        )
        for scale in (1.0, 2.0**-10, 4.0)
    ]
    for other in results[1:]:
        assert_same(other, results[0], atol=0)


def test_weights_of_one_are_no_weights(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    plain, weighted = make_rows(13), make_rows(13, weight=1)
    for row in weighted:
        row["sentence_weight"] = [1.0] * len(row["sentence_label"])
    results = [trained(make_trainer(tokenizer, tmp_path / n, r)) for n, r in (("a", plain), ("b", weighted))]
    assert_same(*results, atol=0)


def test_a_step_without_any_weight_trains_nothing(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rows = make_rows(5, weight=0)
    for row in rows:
        row["sentence_weight"] = [0] * len(row["sentence_label"])
    trainer = make_trainer(tokenizer, tmp_path, rows, sentence_reduction="response")
    found = trained(trainer)
    assert_same(found, dict(make_model(len(tokenizer)).named_parameters()), atol=0)  # type: ignore[arg-type]
    assert log_rows(trainer)[0]["loss"] == 0


def test_a_soft_label_is_logged_as_two(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path, make_rows(6, label=0.75), epochs=2)
    trainer.train()
    row = log_rows(trainer)[1]
    assert (row["num_desirable"], row["num_undesirable"]) == (6, 6)
    assert row["margin"] == pytest.approx(0, abs=1e-9)


# ---- Negative log-likelihood ----


def test_the_end_of_the_turn_is_imitated(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rows = make_rows(6, label=True)
    cut = [{**row, "finish_reason": "length"} for row in rows]
    alone = {"nll_weight": 1.0, "response_weight": 0.0, "sentence_weight": 0.0}
    whole, broken = (make_trainer(tokenizer, tmp_path / n, r, **alone) for n, r in (("a", rows), ("b", cut)))
    for trainer in (whole, broken):
        trainer.train()
    (items,) = ([item for batch in whole.plan.micro_batches(0) for item in batch],)
    logps = [logps_by_hand(make_model(len(tokenizer)), whole._store.sequences[item.row]) for item in items]
    assert log_rows(whole)[0]["nll_loss"] == pytest.approx(-torch.cat(logps).mean().item(), abs=1e-5)
    without = -torch.cat([each[:-1] for each in logps]).mean().item()
    assert log_rows(broken)[0]["nll_loss"] == pytest.approx(without, abs=1e-5)


def test_undesirable_responses_are_not_imitated(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    alone = {"nll_weight": 1.0, "response_weight": 0.0, "sentence_weight": 0.0}
    trainer = make_trainer(tokenizer, tmp_path, make_rows(5, label=False), **alone)
    assert_same(trained(trainer), dict(make_model(len(tokenizer)).named_parameters()), atol=0)  # type: ignore[arg-type]
    assert log_rows(trainer)[0]["nll_loss"] == 0


# ---- z0 over time ----


def test_a_moving_average_by_hand() -> None:
    average = MovingReferencePoint(0.5)
    # Responses: means 4, none, -8, 2. Sentences: none, none, 3, 1.
    steps = [((8, 0), (2, 0)), ((0, 0), (0, 0)), ((-8, 6), (1, 2)), ((4, 1), (2, 1))]
    found = [average.update(torch.tensor(t), torch.tensor(c)).tolist() for t, c in steps]
    # a: 2, 2, -3, -0.5 and 0, 0, 1.5, 1.25; divided by 1 - 0.5^(steps with pairs), not below 0.
    assert found == [[4, 0], [4, 0], [0, 3], [0, pytest.approx(1.25 / 0.75)]]
    assert average.state()["attributes"] == {"average": [-0.5, 1.25], "steps": [3, 2]}


def test_a_moving_average_needs_z0_of_the_step() -> None:
    with pytest.raises(ValueError, match="z0_momentum needs kl_scope 'step', not 'micro'"):
        FKTOConfig(z0_momentum=0.9, kl_scope="micro")


def test_a_moving_average_continues_from_its_checkpoint(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    changes = {"z0_momentum": 0.9, "epochs": 2, "save_steps": 1}
    whole = make_trainer(tokenizer, tmp_path / "whole", **changes)
    expected = trained(whole)
    broken = make_trainer(tokenizer, tmp_path / "broken", **changes)
    broken.add_callback(_StopAt(3))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    resumed = make_trainer(tokenizer, tmp_path / "broken", **changes)
    assert_same(trained(resumed), expected, atol=0)
    assert resumed._initial_global_step == 2
    assert [row["z0"] for row in log_rows(resumed)] == [row["z0"] for row in log_rows(whole)]
    averages = [trainer._objective.moving_z0.state()["attributes"] for trainer in (resumed, whole)]
    assert averages[0] == averages[1] and averages[0]["steps"] == [4, 4] and all(averages[0]["average"])


def test_a_checkpoint_without_the_average_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    make_trainer(tokenizer, tmp_path, save_steps=1).train()
    with pytest.raises(ValueError, match="z0_momentum"):
        make_trainer(tokenizer, tmp_path, save_steps=1, epochs=2, z0_momentum=0.9).train()


# ---- Monitors ----


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_log_tells_how_sure_the_policy_is(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str) -> None:
    rows = make_rows(6)
    rows[0]["finish_reason"] = "length"
    trainer = make_trainer(tokenizer, tmp_path, rows, method=method, epochs=2, learning_rate=0.05, micro_batch_size=2)
    initial = make_model(len(tokenizer))
    found: dict[str, float] = {}

    class Check(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 0:
                return
            with torch.no_grad():
                logps, references, entropies, ends = [], [], [], []
                for row, s in zip(trainer.rows, trainer._store.sequences, strict=True):
                    ids = torch.from_numpy(s.ids).long()[None]
                    logits = trainer.model(input_ids=ids).logits[0, s.start - 1 : -1]
                    entropies.append(torch.distributions.Categorical(logits=logits).entropy())
                    logps.append(logps_by_hand(trainer.model, s))
                    references.append(logps_by_hand(initial, s))
                    ends += [logps[-1][-1]] if row.finished else []
            gain = torch.cat(logps) - torch.cat(references)
            found.update(
                mean_logp=torch.cat(logps).mean().item(),
                mean_entropy=torch.cat(entropies).mean().item(),
                end_logp=torch.stack(ends).mean().item(),
                reference_kl=(torch.exp(-gain) - 1 + gain).mean().item(),
            )

    trainer.add_callback(Check())
    trainer.train()
    first, second = log_rows(trainer)
    assert first["reference_kl"] == pytest.approx(0, abs=1e-9)
    assert {key: second[key] for key in found} == pytest.approx(found, abs=1e-5)
    assert found["reference_kl"] > 1e-5
    assert trainer.save_result()["last"]["mean_entropy"] == second["mean_entropy"]


def test_a_turn_ends_where_its_end_is_scored(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    (row,) = make_rows(1)
    for length, reason, ended in ((2048, "stop", True), (2048, "length", False), (40, "stop", False)):
        trainer = make_trainer(tokenizer, tmp_path, [{**row, "finish_reason": reason}], max_length=length)
        assert trainer._store.sequences[0].ended is ended
