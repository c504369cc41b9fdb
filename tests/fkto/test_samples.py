"""Samples of the policy while it is trained: they change nothing, show what it says, and can end the training."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from factalign.base.text import distinct_2, repeated_sentences, words
from factalign.fkto import FKTOConfig, FKTOTrainer
from factalign.fkto.model.greedy import greedy

from .conftest import make_model, make_rows
from .test_attention import CONFIGS
from .test_trainer import assert_same, log_rows, make_trainer, trained

SAMPLED: dict[str, Any] = {"sample_steps": 1, "sample_prompts": 3, "sample_max_new_tokens": 12}


def sample_rows(trainer: FKTOTrainer) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (trainer.folder / "samples_log.jsonl").read_text().splitlines()]
    assert all(row.pop("seconds") > 0 for row in rows)
    return rows


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "lora", "lora_dropout": 0.2, "learning_rate": 0.05},
        {"method": "layers", "train_layers": 1, "dtype": "bfloat16", "checkpoint_activations_above": 1},
        {"method": "full", "packing": False},
        {"method": "full", "dtype": "bfloat16", "optimizer": "adamw_torch", "learning_rate": 1e-3},
    ],
)
def test_sampling_leaves_the_training_as_it_is(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, changes: dict[str, Any]
) -> None:
    changes = {"epochs": 2, "start_tolerance": 10.0, **changes}
    without = trained(make_trainer(tokenizer, tmp_path / "without", **changes))
    trainer = make_trainer(tokenizer, tmp_path / "with", **SAMPLED, **changes)
    assert_same(trained(trainer), without, atol=0)
    again = make_trainer(tokenizer, tmp_path / "again", **SAMPLED, **changes)
    again.train()
    rows = sample_rows(trainer)
    assert sample_rows(again) == rows
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    assert all(len(row["samples"]) == 3 for row in rows)
    assert [row["sample_mean_tokens"] for row in log_rows(trainer)] == [row["mean_tokens"] for row in rows[1:]]


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("name", [*CONFIGS, "llama"])
def test_continuations_are_those_of_the_untouched_model(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str, packing: bool
) -> None:
    """Windows shorter than the prompts, softcaps and sinks included; whatever the generation config would rather do."""
    torch.manual_seed(0)
    config = CONFIGS[name](len(tokenizer)) if name in CONFIGS else make_model(len(tokenizer)).config
    model = AutoModelForCausalLM.from_config(config).float()
    prompts = [torch.randint(1, len(tokenizer), (length,)).tolist() for length in (11, 23, 16)]
    expected = []
    for ids in prompts:
        for _ in range(9):
            with torch.no_grad():
                ids = [*ids, int(deepcopy(model).eval()(torch.tensor([ids])).logits[0, -1].argmax())]
        expected.append(ids[-9:])
    model.generation_config.update(repetition_penalty=3.0, do_sample=True, temperature=9.0, no_repeat_ngram_size=1)
    trainer = make_trainer(tokenizer, tmp_path, model=model, packing=packing, **SAMPLED)
    trainer.model.train()
    stop = expected[0][4]
    found = greedy(trainer.model, prompts, max_new_tokens=9, stop_ids=[stop], batch_size=2)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == (theirs[: theirs.index(stop) + 1] if stop in theirs else theirs)
    assert trainer.model.training


def test_the_log_holds_what_a_person_and_a_limit_need(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    held_out = make_rows(6, seed=3, prompts=6)
    for row in held_out:
        row["prompt"] = [{"role": "user", "content": "Held out: " + row["prompt"][0]["content"]}]
    trainer = make_trainer(tokenizer, tmp_path, eval_rows=held_out, max_steps=1, **SAMPLED)
    trainer.train()
    first = sample_rows(trainer)[0]
    samples = first["samples"]
    assert [s["prompt"] for s in samples] == [held_out[i]["prompt"] for i in (0, 2, 4)]
    for s in samples:
        assert s["tokens"] == 12 or s["ended"]
    assert first["mean_tokens"] == sum(s["tokens"] for s in samples) / 3
    assert first["ended_share"] == sum(s["ended"] for s in samples) / 3
    assert first["distinct_2"] == pytest.approx(sum(distinct_2(words(s["text"])) for s in samples) / 3)
    assert first["repeated_sentences"] == pytest.approx(sum(repeated_sentences(s["text"]) for s in samples) / 3)


def test_plain_prompts_begin_as_in_training(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rows = [{"prompt": f"Land{i} is", "completion": " far.", "label": i % 2} for i in range(6)]
    trainer = make_trainer(tokenizer, tmp_path, rows, max_steps=1, **SAMPLED)
    trainer.train()
    assert [s["prompt"] for s in sample_rows(trainer)[0]["samples"]] == ["Land0 is", "Land2 is", "Land4 is"]


def test_a_crossed_limit_ends_the_training(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A policy that learns to end at once."""
    rows = [{"prompt": row["prompt"], "completion": "", "label": True} for row in make_rows()]
    changes: dict[str, Any] = {
        "nll_weight": 1.0, "max_steps": 50, "logging_steps": 20, "stop_length_change_above": 2.0, **SAMPLED,
    }  # fmt: skip
    trainer = make_trainer(tokenizer, tmp_path, rows, **changes)
    trainer.train()
    result = trainer.save_result()
    log = sample_rows(trainer)
    stopped = log[-1]
    ratio = stopped["mean_tokens"] / log[0]["mean_tokens"]
    assert result["steps"] == stopped["step"] < 50
    assert ratio < 0.5 <= log[-2]["mean_tokens"] / log[0]["mean_tokens"]
    assert result["ended"] == (
        f"step {stopped['step']}: mean_tokens of the samples is {stopped['mean_tokens']:.3g}, {ratio:.3g} times the "
        f"{log[0]['mean_tokens']:.3g} of step 0, which crosses stop_length_change_above 2"
    )
    assert result["ended"] in caplog.text
    assert json.loads((tmp_path / "result.json").read_text())["ended"] == result["ended"]
    assert log_rows(trainer)[-1]["step"] == stopped["step"]


def test_repetition_ends_the_training(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rows = [{"prompt": row["prompt"], "completion": "mountain " * 20, "label": True} for row in make_rows()]
    changes = {**SAMPLED, "sample_max_new_tokens": 60}
    trainer = make_trainer(
        tokenizer, tmp_path, rows, nll_weight=1.0, max_steps=80, stop_distinct_2_below=0.5, **changes
    )
    trainer.train()
    stopped = trainer.save_result()["ended"]
    assert stopped is not None and "crosses stop_distinct_2_below 0.5" in stopped
    log = sample_rows(trainer)
    assert log[-1]["distinct_2"] < 0.5 * log[0]["distinct_2"] <= log[-2]["distinct_2"]


def test_a_resumed_run_is_measured_against_the_same_start(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"max_steps": 4, "save_steps": 2, "save_total_limit": None, **SAMPLED}
    whole = make_trainer(tokenizer, tmp_path, **changes)
    whole.train()
    rows = sample_rows(whole)
    for part in (tmp_path / "checkpoint-4").iterdir():
        part.unlink()
    resumed = make_trainer(tokenizer, tmp_path, **changes)
    resumed.train()
    assert sample_rows(resumed) == rows
    assert resumed._samples is not None
    assert resumed._samples.state()["attributes"]["first"] == {
        name: value for name, value in rows[0].items() if name != "samples"
    }


def test_limits_need_samples() -> None:
    with pytest.raises(ValueError, match="need sample_steps"):
        FKTOConfig(stop_distinct_2_below=0.5)


def test_repetition_of_texts() -> None:
    assert distinct_2(["a", "b", "a", "b"]) == pytest.approx(2 / 3)
    assert repeated_sentences("It is so. It is big. IT IS SO! It is so.") == pytest.approx(0.5)
    assert repeated_sentences("") == 0.0
