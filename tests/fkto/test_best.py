"""The weights of the best evaluation are the result, and a run may end where no better one comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast, TrainerCallback

from factalign.fkto import FKTOConfig, FKTOTrainer

from .conftest import make_rows
from .test_trainer import _StopAt, assert_same, make_trainer

BEST: dict[str, Any] = {
    "eval_steps": 1, "save_steps": 1, "epochs": 6, "batch_size": 12, "train_layers": 1, "optimizer": "adamw_torch",
    "learning_rate": 1e-2,
}  # fmt: skip


def opposite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that are judged the worse the more is learnt."""
    return [
        {**row, "label": not row["label"], "sentence_label": [not label for label in row["sentence_label"]]}
        for row in rows
    ]


class _Weights(TrainerCallback):
    """Keeps the trained weights after each step, and how they were judged."""

    def __init__(self) -> None:
        self.after: dict[int, dict[str, Tensor]] = {}
        self.judged: dict[int, dict[str, float]] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.after[state.global_step] = trained_weights(model)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        self.judged[state.global_step] = metrics


def trained_weights(model: Any) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def judged_trainer(
    tokenizer: PreTrainedTokenizerFast, folder: Path, rows: Any = None, **changes: Any
) -> tuple[FKTOTrainer, _Weights]:
    rows = make_rows() if rows is None else rows
    trainer = make_trainer(tokenizer, folder, rows, eval_rows=opposite(make_rows()), **{**BEST, **changes})
    weights = _Weights()
    trainer.add_callback(weights)
    return trainer, weights


@pytest.mark.parametrize("method", ["lora", "full", "layers"])
@pytest.mark.parametrize("metric", ["eval_loss", "eval_sentence_margin", "eval_sentence_reward_undesirable"])
def test_the_best_weights_are_the_result(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str, metric: str
) -> None:
    trainer, weights = judged_trainer(tokenizer, tmp_path, method=method, best_metric=metric, early_stopping_patience=2)
    trainer.train()
    result = trainer.save_result()
    assert result["best"] == {"step": 1, "metric": metric, "value": weights.judged[1][metric]}
    assert (result["steps"], result["ended"]) == (3, f"{metric} was not better in 2 evaluations")
    assert_same(trained_weights(trainer.model), weights.after[1], atol=0)
    assert any((weights.after[1][name] != weights.after[3][name]).any() for name in weights.after[1])
    (file,) = (tmp_path / result["path"]).glob("*.safetensors")
    saved = load_file(file)
    for name, expected in weights.after[1].items():
        name = name.replace(".default.weight", ".weight")
        assert torch.equal(saved[name], expected if method == "lora" else expected.bfloat16())
    assert json.loads((tmp_path / "result.json").read_text())["best"]["step"] == 1
    assert not list(tmp_path.glob("checkpoint-*"))


def test_without_a_metric_the_last_weights_are(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer, weights = judged_trainer(tokenizer, tmp_path)
    trainer.train()
    assert_same(trained_weights(trainer.model), weights.after[6], atol=0)
    result = trainer.save_result()
    assert (result["best"], result["ended"]) == (None, "all steps were taken")


def test_patience_and_the_best_survive_a_resume(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    changes = {"best_metric": "eval_loss", "early_stopping_patience": 3}
    whole, weights = judged_trainer(tokenizer, tmp_path / "whole", **changes)
    whole.train()
    assert whole.state.global_step == 4
    broken, _ = judged_trainer(tokenizer, tmp_path / "broken", **changes)
    broken.add_callback(_StopAt(4))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    assert {path.name for path in (tmp_path / "broken").glob("checkpoint-*")} == {"checkpoint-1", "checkpoint-3"}
    resumed, _ = judged_trainer(tokenizer, tmp_path / "broken", **changes)
    resumed.train()
    assert (resumed._initial_global_step, resumed.state.global_step, resumed.state.best_global_step) == (3, 4, 1)
    assert_same(trained_weights(resumed.model), weights.after[1], atol=0)


def test_what_decides_the_best_is_part_of_the_run(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    changes = {**BEST, "best_metric": "eval_loss"}
    broken = make_trainer(tokenizer, tmp_path, eval_rows=opposite(make_rows()), **changes)
    broken.add_callback(_StopAt(3))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    with pytest.raises(ValueError, match=r"another run \(other eval_rows\);"):
        make_trainer(tokenizer, tmp_path, eval_rows=make_rows(), **changes).train()
    changes |= {"eval_steps": 2, "save_steps": 2}
    with pytest.raises(ValueError, match="eval_steps: 1 there, 2 here"):
        make_trainer(tokenizer, tmp_path, eval_rows=opposite(make_rows()), **changes).train()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"best_metric": "eval_loss"}, "the same, not None and None"),
        ({"best_metric": "eval_loss", "eval_steps": 2, "save_steps": 4}, "the same, not 2 and 4"),
        ({"best_metric": "eval_z0", "eval_steps": 2, "save_steps": 2}, "'eval_loss', 'eval_response_loss'"),
        ({"early_stopping_patience": 2}, "needs best_metric"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FKTOConfig(**changes)


def test_the_direction_follows_from_the_name() -> None:
    same = {"eval_steps": 1, "save_steps": 1}
    for name, rises in (("eval_nll_loss", False), ("eval_margin", True), ("eval_reward_undesirable", False)):
        assert FKTOConfig(best_metric=name, **same).greater_is_better is rises
    assert FKTOConfig().greater_is_better is None


def test_a_margin_needs_both_classes(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rows = make_rows(label=True)
    trainer = make_trainer(tokenizer, tmp_path, eval_rows=rows, best_metric="eval_margin", **BEST)
    with pytest.raises(ValueError, match="best_metric eval_margin: the eval_rows lack a class"):
        trainer.train()
