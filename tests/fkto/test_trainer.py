"""The trainer on a tiny model: one step is the objective, however it is split, packed, resumed or distributed."""

from __future__ import annotations

import json
import logging
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast, TrainerCallback

from factalign.base.records import RecordError
from factalign.fkto import FKTOConfig, FKTOTrainer
from factalign.fkto.losses import kto_losses, reference_point
from factalign.fkto.model.trunk import StateStore
from factalign.fkto.run.arguments import training_arguments, use_one_device
from factalign.policies import load_policy, make_handle

from .conftest import make_model, make_rows, make_tokenizer

PLAIN: dict[str, Any] = {
    "dtype": "float32",
    "optimizer": "sgd",
    "learning_rate": 0.3,
    "scheduler": "constant",
    "warmup_ratio": 0.0,
    "max_grad_norm": 0.0,
    "method": "full",
    "batch_size": 6,
    "micro_batch_size": 3,
    "reference_cache_dir": None,
}


def make_trainer(
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    rows: list[dict[str, Any]] | None = None,
    seed: int = 0,
    model: Any = None,
    eval_rows: Any = None,
    peft_config: Any = None,
    ref_model: Any = None,
    **changes: Any,
) -> FKTOTrainer:
    config = FKTOConfig(**{**PLAIN, **changes})
    model = make_model(len(tokenizer)) if model is None else model
    rows = make_rows() if rows is None else rows
    given = {"eval_rows": eval_rows, "peft_config": peft_config, "ref_model": ref_model}
    return FKTOTrainer(model, tokenizer, rows, config, folder, seed=seed, **given)


def trained(trainer: FKTOTrainer) -> dict[str, Tensor]:
    trainer.train()
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters() if p.requires_grad}


def log_rows(trainer: FKTOTrainer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (trainer.folder / "training_log.jsonl").read_text().splitlines()]


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], atol: float = 3e-5) -> None:
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(
            found[name], expected[name], atol=atol, rtol=1e-5 if atol else 0, msg=lambda m, n=name: f"{n}: {m}"
        )


# ---- The objective ----


def rewards_by_hand(
    trainer: FKTOTrainer, initial: Any, sequences: list[Any]
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """r of sequences and of their sentences from plain logits, one sequence at a time."""

    def logps(model: Any, s: Any) -> Tensor:
        ids = torch.from_numpy(s.ids).long()
        logits = model(input_ids=ids[None]).logits[0]
        every = torch.log_softmax(logits[:-1], -1).gather(1, ids[1:, None])[:, 0]
        return every[s.start - 1 :]

    totals, parts = [], []
    for s in sequences:
        gain = logps(trainer.model, s) - logps(initial, s).detach()
        totals.append(gain.sum())
        parts.append([gain[torch.from_numpy(s.sentence == i)].sum() for i in s.sentences])
    return totals, parts


@pytest.mark.parametrize("loss_type", ["fkto", "kto", "apo_zero_unpaired"])
@pytest.mark.parametrize("reduction", ["sentence", "response"])
def test_a_step_is_the_formula(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, loss_type: str, reduction: str
) -> None:
    """z0, both terms, their weights and normalisation against plain autograd on plain logits."""
    rows = make_rows(6)
    rows[2]["label"] = None
    rows[3]["sentence_label"] = rows[3]["sentence_spans"] = None
    changes: dict[str, Any] = {
        "loss_type": loss_type, "sentence_reduction": reduction, "beta": 0.3, "sentence_beta": 0.7,
        "response_weight": 0.4, "sentence_weight": 1.3, "desirable_weight": 1.1, "undesirable_weight": 0.9,
        "sentence_undesirable_weight": 1.2,
    }  # fmt: skip
    trainer = make_trainer(tokenizer, tmp_path, rows, epochs=2, **changes)
    initial = make_model(len(tokenizer))
    grabbed: list[tuple[dict[str, Tensor], Tensor]] = []

    class Check(TrainerCallback):
        """Recomputes the second step, where r is not 0 any more, before it is taken."""

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step != 1:
                return
            items = [item for items in trainer.plan.micro_batches(1) for item in items]
            sequences = [trainer._store.sequences[item.row] for item in items]
            totals, parts = rewards_by_hand(trainer, initial, sequences)
            z0 = z0_sentence = torch.zeros(())
            if trainer.config.uses_kl:
                pairs = [trainer._store.pair(item.partner, item.row) for item in items]
                kl, kl_parts = rewards_by_hand(trainer, initial, pairs)
                shares = [[1.0 if reduction == "sentence" else 1 / len(p) for _ in p] for p in kl_parts]
                z0 = reference_point(torch.stack(kl).sum(), torch.tensor(len(kl)))
                total = sum(
                    share * r for s, p in zip(shares, kl_parts, strict=True) for share, r in zip(s, p, strict=True)
                )
                z0_sentence = reference_point(torch.as_tensor(total), torch.tensor(sum(sum(s) for s in shares)))
            response = [
                kto_losses(r, torch.tensor(trainer.rows[i.row].label), z0, 0.3, (1.1, 0.9))
                for i, r in zip(items, totals, strict=True)
                if trainer.rows[i.row].label is not None
            ]
            by_row = [
                torch.stack(
                    [
                        kto_losses(r, torch.tensor(label), z0_sentence, 0.7, (1.0, 1.2))
                        for r, label in zip(p, trainer.rows[i.row].sentence_labels, strict=True)
                    ]
                )
                for i, p in zip(items, parts, strict=True)
                if p
            ]
            sentence = (
                torch.cat(by_row).mean() if reduction == "sentence" else torch.stack([b.mean() for b in by_row]).mean()
            )
            loss = 0.4 * torch.stack(response).mean() + (0 if loss_type == "kto" else 1.3) * sentence
            parameters = dict(trainer.model.named_parameters())
            gradients = torch.autograd.grad(loss, list(parameters.values()))
            expected = {n: p.detach() - 0.3 * g for (n, p), g in zip(parameters.items(), gradients, strict=True)}
            grabbed.append((expected, loss.detach()))

    trainer.add_callback(Check())
    found = trained(trainer)
    expected, loss = grabbed[0]
    assert log_rows(trainer)[1]["loss"] == pytest.approx(loss.item(), abs=1e-5)
    assert_same(found, expected)


# ---- Splits, layouts, ranks ----


@pytest.mark.parametrize("loss_type", ["fkto", "apo_zero_unpaired"])
@pytest.mark.parametrize("reduction", ["sentence", "response"])
def test_micro_batches_do_not_change_the_gradient(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, loss_type: str, reduction: str
) -> None:
    """FactAlign defect 6: sentence losses averaged per micro-batch. 6x1 = 3x2 = 2x3 = 1x6, last step shorter."""
    results = [
        trained(
            make_trainer(
                tokenizer,
                tmp_path / str(micro),
                make_rows(13),
                micro_batch_size=micro,
                loss_type=loss_type,
                sentence_reduction=reduction,
            )
        )
        for micro in (6, 3, 2, 1)
    ]
    for other in results[1:]:
        assert_same(other, results[0])


@pytest.mark.parametrize("packing", [True, False])
def test_a_budget_of_tokens_does_not_change_the_gradient(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, packing: bool
) -> None:
    changes: dict[str, Any] = {"packing": packing, "learning_rate": 0.1, "epochs": 2}
    held_out = make_rows(7, seed=3)
    budget = make_trainer(
        tokenizer, tmp_path / "tokens", make_rows(13), eval_rows=held_out, micro_batch_tokens=110, **changes
    )
    plain = make_trainer(tokenizer, tmp_path / "rows", make_rows(13), eval_rows=held_out, **changes)
    sizes = [len(items) for items in budget.plan.micro_batches(0)]
    assert len(set(sizes)) > 1 and budget.plan.accumulation > 1
    assert_same(trained(budget), trained(plain), atol=1e-6)
    for found, expected in zip(log_rows(budget), log_rows(plain), strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], abs=1e-6)
        assert found["tokens"] == expected["tokens"]
    assert budget.evaluate()["eval_loss"] == pytest.approx(plain.evaluate()["eval_loss"], abs=1e-6)


def test_packed_equals_padded(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    results = [trained(make_trainer(tokenizer, tmp_path / str(p), packing=p)) for p in (True, False)]
    assert_same(*results)


def test_checkpointed_activations_give_the_same_gradient(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    results = [
        trained(make_trainer(tokenizer, tmp_path / str(n), checkpoint_activations_above=n)) for n in (10, 10_000)
    ]
    assert_same(*results)


@pytest.mark.parametrize("packing", [True, False])
def test_activations_are_recomputed_by_the_tokens_of_a_micro_batch(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, packing: bool
) -> None:
    def recomputes(above: int | None) -> bool:
        trainer = make_trainer(tokenizer, tmp_path, checkpoint_activations_above=above, packing=packing)
        trainer._compute_references(trainer.model)
        side = trainer._batches.collate(next(iter(trainer.plan.micro_batches(0))))["rows"]
        assert max(len(s) for s in trainer._store.sequences) < side["inputs"]["input_ids"].numel()
        trainer._objective.logps(trainer.model, side)
        sizes.append(side["inputs"]["input_ids"].numel())
        return any(getattr(m, "gradient_checkpointing", False) for m in trainer.model.model.layers)

    sizes: list[int] = []
    assert not recomputes(None)
    assert recomputes(sizes[0] - 1) and not recomputes(sizes[0])


def test_sequences_in_a_pack_do_not_see_each_other(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path)
    with torch.no_grad():
        alone = [trainer.model(**trainer._batches.inputs([s])) for s in trainer._store.sequences]
        packed = trainer.model(**trainer._batches.inputs(trainer._store.sequences))
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_micro_scope_takes_z0_from_the_micro_batch(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    results = [trained(make_trainer(tokenizer, tmp_path / s, kl_scope=s, epochs=3)) for s in ("step", "micro")]
    assert any((results[0][n] - results[1][n]).abs().max() > 1e-4 for n in results[0])


def test_z0_of_the_whole_step_varies_less(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """FactAlign defect 4: z0 from the 2 pairs of a micro-batch instead of the 16 of the step."""
    config = {"batch_size": 16, "micro_batch_size": 2, "epochs": 8}
    trainer = make_trainer(tokenizer, tmp_path, make_rows(16, prompts=8), **config)
    trainer._compute_references(trainer.model)
    torch.manual_seed(5)
    for parameter in trainer.model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    estimates = torch.tensor(
        [
            [float(share[0] / share[1]) for items in trainer.plan.micro_batches(epoch)
             for share in [trainer._mismatched(trainer._batches.collate(items), torch.device("cpu"))]]
            for epoch in range(config["epochs"])
        ]
    )  # fmt: skip
    assert estimates.shape == (8, 8)  # steps by micro-batches
    assert estimates.mean(dim=1).std() < estimates.std() / 2


def test_layers_equal_full_training_of_those_layers(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """The cached trunk is the same function as the whole model with frozen lower layers."""
    cached = make_trainer(tokenizer, tmp_path / "layers", method="layers", train_layers=1)
    whole = make_trainer(tokenizer, tmp_path / "full")
    for name, parameter in whole.model.named_parameters():
        parameter.requires_grad_("layers.2." in name)
    assert_same(trained(cached), trained(whole))


@pytest.mark.parametrize("packing", [True, False])
def test_trunk_states_on_disk_are_those_in_memory(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, packing: bool
) -> None:
    results = [
        trained(
            make_trainer(
                tokenizer,
                tmp_path / f"{gib}",
                method="layers",
                train_layers=2,
                trunk_cache_gib=gib,
                packing=packing,
            )
        )
        for gib in (1.0, 1e-6)
    ]
    assert (tmp_path / "1e-06" / "trunk_states.0.bin").stat().st_size > 0
    assert_same(*results)


def test_max_steps_wins_over_epochs(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """12 rows make 2 steps an epoch; the steps beyond the one epoch have pairs and references of their own."""
    more = trained(make_trainer(tokenizer, tmp_path / "more", max_steps=5))
    assert_same(more, trained(make_trainer(tokenizer, tmp_path / "epochs", max_steps=5, epochs=3)), atol=0)
    assert len((tmp_path / "more" / "training_log.jsonl").read_text().splitlines()) == 5
    fewer = make_trainer(tokenizer, tmp_path / "fewer", max_steps=1, epochs=3)
    fewer.train()
    assert fewer.state.global_step == 1


# ---- Step 0, references, cache ----


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("method", ["lora", "full", "layers"])
def test_rewards_are_zero_before_the_first_step(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str, packing: bool, dtype: str
) -> None:
    """bf16 log-probs differ by 0.68 nats between layouts: references are computed in the training layout."""
    trainer = make_trainer(
        tokenizer,
        tmp_path,
        method=method,
        packing=packing,
        dtype=dtype,
        train_layers=1,
        max_steps=1,
        lora_rank=2,
    )
    trainer.train()
    assert log_rows(trainer)[0]["abs_reward_at_start"] < (1e-4 if dtype == "float32" else 0.05)


def test_the_reference_cache_hits_when_only_the_output_folder_changes(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """TRL: the reference cache misses when only `output_dir` changes."""

    def run(name: str, **changes: Any) -> FKTOTrainer:
        trainer = make_trainer(tokenizer, tmp_path / name, reference_cache_dir=str(tmp_path / "cache"), **changes)
        trainer.train()
        return trainer

    first, second = run("a"), run("b")
    assert first.references.hits == 0 and first.references.computed > 0
    assert second.references.computed == 0 and second.references.hits == first.references.computed
    assert_same(dict(second.model.named_parameters()), dict(first.model.named_parameters()))  # type: ignore[arg-type]
    assert run("c", model=make_model(len(tokenizer), seed=1)).references.hits == 0
    assert run("d", packing=False).references.hits == 0
    assert run("e", dtype="bfloat16").references.hits == 0
    more = run("f", rows=[*make_rows(), *make_rows(2, seed=9)])
    assert more.references.hits >= 12 and more.references.computed > 0


def test_references_are_computed_anew_for_another_function(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """The same weights are another function with another `rope_theta`, attention or precision of float32."""

    def run(name: str, precision: str = "highest", **changes: Any) -> FKTOTrainer:
        model = make_model(len(tokenizer))
        for key, value in changes.items():
            setattr(model.config, key, value)
        if "rope_parameters" in changes:
            model = type(model)(model.config)
            model.load_state_dict(make_model(len(tokenizer)).state_dict())
        torch.set_float32_matmul_precision(precision)
        folder = tmp_path / name
        trainer = make_trainer(
            tokenizer, folder, model=model, packing=False, max_steps=1, reference_cache_dir=str(tmp_path / "cache")
        )
        trainer.train()
        torch.set_float32_matmul_precision("highest")
        assert log_rows(trainer)[0]["abs_reward_at_start"] < 1e-4
        return trainer

    assert run("first").references.computed > 0
    assert run("renamed", _name_or_path="elsewhere", transformers_version="0").references.computed == 0
    rotated = run("rope", rope_parameters={"rope_type": "default", "rope_theta": 100.0})
    assert rotated.references.hits == 0 and rotated.references.computed > 0
    assert run("attention", _attn_implementation="eager").references.hits == 0
    assert run("precision", precision="medium").references.hits == 0


def test_the_automatic_cache_lies_beside_the_output_folder(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    make_trainer(tokenizer, tmp_path / "out", reference_cache_dir="auto", max_steps=1).train()
    assert list((tmp_path / "reference_cache").glob("*/*.safetensors"))


# ---- Evaluation ----


@pytest.mark.parametrize("method", ["lora", "full", "layers"])
def test_evaluation_does_not_disturb_training(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str) -> None:
    changes = {
        "method": method, "train_layers": 1, "epochs": 2, "lora_dropout": 0.1 if method == "lora" else 0.0,
    }  # fmt: skip
    alone = make_trainer(tokenizer, tmp_path / "alone", **changes)
    expected = trained(alone)
    judged = make_trainer(tokenizer, tmp_path / "judged", eval_rows=make_rows(7, seed=4), eval_steps=1, **changes)
    assert judged.evaluate()["eval_response_loss"] == pytest.approx(0.5, abs=1e-5)  # r is 0, so is z0
    assert_same(trained(judged), expected, atol=0)
    for row, other in zip(log_rows(judged), log_rows(alone), strict=True):
        assert {**row, "tokens_per_second": 0} == {**other, "tokens_per_second": 0}
    lines = (tmp_path / "judged" / "evaluation_log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2, 3, 4]
    last = json.loads(lines[-1])
    again = judged.evaluate()
    assert {k: v for k, v in again.items() if k != "eval_tokens_per_second"}.items() <= last.items()
    assert judged.save_result()["last_evaluation"]["eval_loss"] == again["eval_loss"]


def test_evaluation_on_the_rows_of_a_step_gives_its_numbers(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """With the same pairs, those of the first epoch, and a learning rate that changes next to nothing."""
    rows = make_rows(6)
    trainer = make_trainer(tokenizer, tmp_path, rows, eval_rows=rows, schedule="alternating", epochs=2)
    names = (
        "response_loss",
        "sentence_loss",
        "z0",
        "z0_sentence",
        "margin",
        "sentence_margin",
        "sentence_num_desirable",
    )
    before = trainer.evaluate()
    trainer.train()
    assert before == {**before, **{f"eval_{n}": pytest.approx(log_rows(trainer)[0][n], abs=1e-5) for n in names}}
    after = trainer.evaluate()
    assert after["eval_loss"] == pytest.approx(0.3 * after["eval_response_loss"] + after["eval_sentence_loss"])
    assert after["eval_loss"] < before["eval_loss"]


def test_evaluation_needs_rows(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="eval_rows that the trainer is made with"):
        make_trainer(tokenizer, tmp_path).evaluate()
    with pytest.raises(ValueError, match="eval_steps needs rows"):
        make_trainer(tokenizer, tmp_path, eval_steps=1)


# ---- Awkward data ----


@pytest.mark.parametrize("method", ["lora", "full", "layers"])
def test_rows_without_sentences_train(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str) -> None:
    """FactAlign defect 3: LoRA crashes; precomputed references crash on rows without sentences."""
    rows = make_rows(7, sentence_label=None, sentence_spans=None)
    trainer = make_trainer(tokenizer, tmp_path, rows, method=method, train_layers=1)
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters() if p.requires_grad}
    after = trained(trainer)
    assert any((after[n] != before[n]).any() for n in after)
    assert all(row["sentence_loss"] == 0 for row in log_rows(trainer))


def test_kl_rows_without_sentences_leave_the_sentence_loss_alone(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """FactAlign defect 5: z0_s is NaN and the sentence loss silently vanishes."""
    rows = make_rows(6, sentence_label=None, sentence_spans=None)
    rows[0] = make_rows(1, seed=3)[0]
    rows[0]["prompt"] = [{"role": "user", "content": "Only here."}]
    trainer = make_trainer(tokenizer, tmp_path, rows, micro_batch_size=1, kl_scope="micro", epochs=2)
    trainer.train()
    for row in log_rows(trainer):
        assert row["sentence_loss"] > 0
        assert row["z0_sentence"] >= 0


@pytest.mark.parametrize(
    "rows",
    [
        make_rows(5, label=True),
        make_rows(5, label=False),
        make_rows(5, label=None),
        make_rows(1),
        make_rows(5, prompts=1),
        make_rows(7, label=1),
        [{"prompt": "The sky is", "completion": " blue.", "label": True}, *make_rows(2)],
    ],
    ids=["desirable", "undesirable", "unlabelled", "one_row", "one_prompt", "integers", "mixed_formats"],
)
@pytest.mark.parametrize("weight", [1.0, "auto"])
def test_degenerate_data_trains_without_nan(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, rows: list[dict[str, Any]], weight: Any
) -> None:
    """FactAlign defects 5 and 7, TRL: no NaN with one class, one row, one prompt, integer labels."""
    names = (
        "desirable_weight",
        "undesirable_weight",
        "sentence_desirable_weight",
        "sentence_undesirable_weight",
    )
    trainer = make_trainer(tokenizer, tmp_path, rows, micro_batch_size=2, epochs=2, **dict.fromkeys(names, weight))
    after = trained(trainer)
    assert all(torch.isfinite(p).all() for p in after.values())
    assert all(row["loss"] == row["loss"] for row in log_rows(trainer))


def test_one_prompt_means_z0_is_zero(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path, make_rows(5, prompts=1), epochs=3)
    trainer.train()
    assert all(row["z0"] == 0 for row in log_rows(trainer))


def test_alternating_takes_turns(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path, schedule="alternating", epochs=2)
    trainer.train()
    for row in log_rows(trainer):
        expected = 0.3 * row["response_loss"] if row["step"] % 2 else row["sentence_loss"]
        assert row["loss"] == pytest.approx(expected, abs=1e-6)


def test_too_long_prompts_are_left_out_and_counted(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = make_rows(4)
    rows[1]["prompt"] = [{"role": "user", "content": "long " * 500}]
    with caplog.at_level(logging.WARNING):
        trainer = make_trainer(tokenizer, tmp_path, rows, max_length=150)
    assert trainer.counts["rows"] == 3 and trainer.counts["rows_left_out"] == 1
    assert "row 2:" in caplog.text
    with pytest.raises(ValueError, match="none of the 4 rows"):
        make_trainer(tokenizer, tmp_path, rows, max_length=3)


def test_a_few_bad_rows_are_left_out(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A template that changes one text, and a sentence of one byte of a character; more than a share are refused."""
    template = "{% if 'shout' in m.content %}{{ m.content | upper }}{% else %}{{ m.content }}{% endif %}"
    tokenizer = deepcopy(tokenizer)
    tokenizer.chat_template = "{% for m in messages %}" + template + "<|im_end|>{% endfor %}"
    rows = make_rows(20)
    rows[4]["completion"] = "We shout."
    rows[4]["sentence_spans"] = rows[4]["sentence_label"] = None
    rows[6] |= {"completion": "The mountain.", "sentence_spans": [[0, 5], [5, 6], [6, 13]], "sentence_label": [1, 0, 1]}
    with caplog.at_level(logging.WARNING):
        trainer = make_trainer(tokenizer, tmp_path, rows, max_bad_rows=0.1)
    assert trainer.counts["rows"] == 19
    assert trainer.counts["rows_unusable"] == trainer.counts["rows_left_out"] == 1
    assert trainer.counts["sentences_without_tokens"] == 1 and trainer.counts["sentences_cut_off"] == 0
    assert trainer._store.sequences[5].sentences == (0, 2)
    assert "changes the completion's text" in caplog.text and "'o' no token of its own" in caplog.text
    trainer.train()
    result = trainer.save_result()
    assert (result["rows_unusable"], result["sentences_without_tokens"]) == (1, 1)
    with pytest.raises(RecordError, match=r"changes the completion's text.*2 of 20 rows .*max_bad_rows"):
        make_trainer(tokenizer, tmp_path, rows, max_bad_rows=0.05)


def test_templates_are_judged_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = make_tokenizer("byte_level", "thinking")
    with caplog.at_level(logging.WARNING):
        make_trainer(tokenizer, tmp_path)
    assert caplog.text.count("the chat template has the model trained after") == 1
    tokenizer.chat_template = "{{ topic }}" + str(tokenizer.chat_template)
    trainer = make_trainer(tokenizer, tmp_path, chat_template_kwargs={"topic": "Austria"})
    assert tokenizer.decode(trainer._store.sequences[0].ids).startswith("Austria<")


def test_a_loss_that_is_not_finite_stops_the_run(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path)
    torch.nn.init.constant_(trainer.model.model.norm.weight, float("nan"))
    with pytest.raises(FloatingPointError, match=r"step 1.*row"):
        trainer.train()


def test_too_many_layers_is_an_error(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the model has 3 layers"):
        make_trainer(tokenizer, tmp_path, method="layers", train_layers=4)


# ---- Checkpoints and results ----


class _StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("method", "tokens"), [("lora", None), ("full", None), ("layers", None), ("full", 110)])
@pytest.mark.parametrize("cache", [True, False])
def test_resumed_equals_uninterrupted(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str, tokens: int | None, cache: bool
) -> None:
    changes: dict[str, Any] = {
        "micro_batch_tokens": tokens,
        "method": method, "train_layers": 1, "epochs": 2, "save_steps": 1, "optimizer": "adamw_torch",
        "learning_rate": 1e-2, "scheduler": "linear", "lora_dropout": 0.1 if method == "lora" else 0.0,
        "reference_cache_dir": str(tmp_path / "cache") if cache else None,
    }  # fmt: skip
    rows = make_rows(13)
    whole = make_trainer(tokenizer, tmp_path / "whole", rows, **changes)
    expected = trained(whole)
    broken = make_trainer(tokenizer, tmp_path / "broken", rows, **changes)
    broken.add_callback(_StopAt(5))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    resumed = make_trainer(tokenizer, tmp_path / "broken", rows, **changes)
    assert_same(trained(resumed), expected, atol=0)
    assert resumed.state.global_step == 6
    assert [row["step"] for row in log_rows(resumed)] == [1, 2, 3, 4, 5, 6]
    for row, uninterrupted in zip(log_rows(resumed), log_rows(whole), strict=True):
        assert {**row, "tokens_per_second": 0} == {**uninterrupted, "tokens_per_second": 0}


@pytest.mark.parametrize("complete", [True, False])
def test_an_incomplete_checkpoint_is_passed_over(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, complete: bool
) -> None:
    changes: dict[str, Any] = {"save_steps": 1, "save_total_limit": None, "epochs": 2}
    broken = make_trainer(tokenizer, tmp_path / "run", **changes)
    broken.add_callback(_StopAt(3 if complete else 1))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    (tmp_path / "run" / "checkpoint-999").mkdir(parents=True)
    (tmp_path / "run" / "checkpoint-2-kept").mkdir()
    (tmp_path / "run" / "checkpoint-2-kept" / "trainer_state.json").touch()
    resumed = make_trainer(tokenizer, tmp_path / "run", **changes)
    expected = trained(make_trainer(tokenizer, tmp_path / "whole", **changes))
    assert_same(trained(resumed), expected, atol=0)
    assert resumed._initial_global_step == (2 if complete else 0)


def killed(tokenizer: PreTrainedTokenizerFast, folder: Path, **changes: Any) -> dict[str, Any]:
    """A run that ended after its second checkpoint; returns its settings."""
    changes = {"save_steps": 1, "epochs": 2, "save_total_limit": None, **changes}
    broken = make_trainer(tokenizer, folder, **changes)
    broken.add_callback(_StopAt(3))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    return changes


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"rows": make_rows(seed=5)}, "other rows"),
        ({"model": 1}, "other model"),
        ({"beta": 0.2}, r"config\.beta: 0\.1 there, 0\.2 here"),
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"micro_batch_size": 2}, r"config\.micro_batch_size: 3 there, 2 here"),
    ],
    ids=["rows", "model", "beta", "seed", "batches"],
)
def test_a_checkpoint_of_another_run_is_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, other: dict[str, Any], message: str
) -> None:
    changes = {**killed(tokenizer, tmp_path / "run"), **other}
    if "model" in changes:
        changes["model"] = make_model(len(tokenizer), seed=changes["model"])
    with pytest.raises(ValueError, match=rf"checkpoint-2 .*another run \({message}\); .*output_dir.*resume: false"):
        make_trainer(tokenizer, tmp_path / "run", **changes).train()
    elsewhere = make_trainer(tokenizer, tmp_path / "elsewhere", **changes)
    with pytest.raises(ValueError, match=message):
        elsewhere.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-1"))
    anew = make_trainer(tokenizer, tmp_path / "run", **{**changes, "resume": False})
    anew.train()
    assert (anew._initial_global_step, anew.state.global_step) == (0, 4)


def test_settings_that_decide_nothing_may_change(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    changes = killed(tokenizer, tmp_path / "run")
    changes |= {"logging_steps": 2, "save_total_limit": 1, "logit_chunk": 7}
    resumed = make_trainer(tokenizer, tmp_path / "run", **changes)
    resumed.train(resume_from_checkpoint=True)
    assert resumed._initial_global_step == 2
    with pytest.raises(ValueError, match="holds no complete checkpoint"):
        make_trainer(tokenizer, tmp_path / "none", **changes).train(resume_from_checkpoint=True)


def test_a_checkpoint_without_identity_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    changes = killed(tokenizer, tmp_path / "run")
    for path in (tmp_path / "run").glob("checkpoint-*/run_identity.json"):
        path.unlink()
    with pytest.raises(ValueError, match=r"no readable run_identity\.json"):
        make_trainer(tokenizer, tmp_path / "run", **changes).train()


def test_only_own_checkpoints_are_dropped(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """While training, where save_total_limit is 1, and at the end."""
    killed(tokenizer, tmp_path)
    (tmp_path / "checkpoint-best").mkdir()
    trainer = make_trainer(tokenizer, tmp_path, epochs=3, save_steps=3, beta=0.2, resume=False)
    trainer.train()

    def left() -> set[str]:
        return {path.name for path in tmp_path.glob("checkpoint-*")}

    foreign = {"checkpoint-1", "checkpoint-2", "checkpoint-best"}
    assert left() == {*foreign, "checkpoint-6"}
    trainer.save_result()
    assert left() == foreign


def test_same_seed_same_result(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    results = [
        trained(make_trainer(tokenizer, tmp_path / n, method="lora", seed=s)) for n, s in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert_same(results[0], results[1], atol=0)
    assert any((results[0][n] != results[2][n]).any() for n in results[0])


@pytest.mark.parametrize("method", ["lora", "full", "layers"])
def test_the_result_loads_as_the_next_policy(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str) -> None:
    make_model(len(tokenizer)).save_pretrained(tmp_path / "policy")
    tokenizer.save_pretrained(tmp_path / "policy")
    trainer = make_trainer(
        tokenizer,
        tmp_path / "out",
        method=method,
        train_layers=1,
        save_steps=1,
        learning_rate=0.3,
        lora_targets=["q_proj"],
    )
    trainer.train()
    s = trainer._store.sequences[0]
    with torch.no_grad():
        trainer.model.eval()
        expected = trainer.model(**trainer._batches.inputs([s]))
    result = trainer.save_result()
    saved = json.loads((tmp_path / "out" / "result.json").read_text())
    assert saved["kind"] == saved["path"] == ("adapter" if method == "lora" else "model") == result["kind"]
    assert saved["sentences"] > 0 and saved["seconds"] > 0 and saved["peak_memory_gib"] > 0
    assert not list((tmp_path / "out").glob("checkpoint-*"))
    assert not list((tmp_path / "out").glob("**/*.bin"))
    if method == "lora":
        handle = make_handle(tmp_path / "policy", [tmp_path / "out" / "adapter"])
    else:
        handle = make_handle(tmp_path / "out" / "model")
    policy, _ = load_policy(handle, "float32")
    with torch.no_grad():
        ids = torch.from_numpy(s.ids).long()[None]
        found = torch.log_softmax(policy(input_ids=ids).logits, -1)
    found = found[0, s.start - 1 : -1].gather(1, ids[0, s.start :, None])[:, 0]
    # Complete models are written in bfloat16, adapters in float32.
    torch.testing.assert_close(found, expected, atol=1e-4 if method == "lora" else 0.3, rtol=0)


def test_adapters_merge_in_their_order(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    make_model(len(tokenizer)).save_pretrained(tmp_path / "policy")
    tokenizer.save_pretrained(tmp_path / "policy")
    handle = make_handle(tmp_path / "policy")
    for name in ("first", "second"):
        policy, _ = load_policy(handle, "float32")
        trainer = make_trainer(tokenizer, tmp_path / name, model=policy, method="lora", learning_rate=0.3)
        trainer.train()
        trainer.save_result()
        handle["adapters"].append(str(tmp_path / name / "adapter"))
    merged, _ = load_policy(handle, "float32")
    s = trainer._store.sequences[0]
    with torch.no_grad():
        trainer.model.eval()
        expected = trainer.model(**trainer._batches.inputs([s]))
        ids = torch.from_numpy(s.ids).long()[None]
        found = torch.log_softmax(merged(input_ids=ids).logits, -1)[0, s.start - 1 : -1]
    torch.testing.assert_close(found.gather(1, ids[0, s.start :, None])[:, 0], expected, atol=1e-4, rtol=0)


def test_the_log_holds_what_a_run_is_judged_by(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path, epochs=2, learning_rate=0.1)
    trainer.train()
    rows = log_rows(trainer)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    wanted = {
        "loss", "response_loss", "sentence_loss", "z0", "z0_sentence", "reward_desirable", "reward_undesirable",
        "margin", "sentence_reward_desirable", "sentence_reward_undesirable", "sentence_margin", "grad_norm",
        "tokens_per_second", "tokens", "rows_truncated", "learning_rate",
    }  # fmt: skip
    assert wanted <= rows[0].keys()
    assert rows[0]["abs_reward_at_start"] < 1e-4 and "abs_reward_at_start" not in rows[1]
    assert rows[-1]["sentence_margin"] > rows[0]["sentence_margin"]
    row = rows[2]
    assert row["loss"] == pytest.approx(0.3 * row["response_loss"] + row["sentence_loss"], abs=1e-6)
    total = sum(trainer.counts[k] for k in ("sentences",))
    assert sum(r["sentence_num_desirable"] + r["sentence_num_undesirable"] for r in rows) == 2 * total


def test_states_left_by_a_killed_run_are_not_read(tmp_path):
    path = tmp_path / "states.bin"
    path.write_bytes(b"stale bytes of a run that was killed")
    store = StateStore(budget=0, path=path)
    states = torch.randn(3, 4, dtype=torch.bfloat16)
    store.put("first", states)
    store.put("second", 2 * states)
    assert torch.equal(store.get("first"), states)
    assert torch.equal(store.get("second"), 2 * states)
    store.close()
    assert not path.exists()


def test_references_reach_the_device_as_they_are(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """With DeepSpeed, transformers makes bfloat16 of every floating tensor of a batch, log-probabilities too."""
    trainer = make_trainer(tokenizer, tmp_path)
    trainer.is_deepspeed_enabled = True
    reference = torch.tensor([-1.2345678, -300.123])
    found = trainer._prepare_inputs({"rows": {"reference": reference, "names": ["a"]}})["rows"]
    assert found["names"] == ["a"] and torch.equal(found["reference"], reference)


@pytest.mark.parametrize("method", ["lora", "layers", "full"])
def test_weights_are_cast_and_rotary_frequencies_are_not(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str
) -> None:
    model = make_model(len(tokenizer))
    frequencies = model.model.rotary_emb.inv_freq.clone()
    trainer = make_trainer(tokenizer, tmp_path, model=model, method=method, dtype="bfloat16", train_layers=1)
    assert torch.equal(trainer.accelerator.unwrap_model(trainer.model).get_decoder().rotary_emb.inv_freq, frequencies)
    frozen = {parameter.dtype for parameter in trainer.model.parameters() if not parameter.requires_grad}
    assert frozen == (set() if method == "full" else {torch.bfloat16})
    assert {parameter.dtype for parameter in trainer.model.parameters() if parameter.requires_grad} == {torch.float32}
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_one_process_uses_one_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = training_arguments(FKTOConfig(**PLAIN), tmp_path, 0)
    arguments._n_gpu = 2  # as where one process sees two GPUs
    use_one_device(arguments)
    assert arguments.n_gpu == 1 and "2 devices are visible, but one process was started" in caplog.text
