"""The model card says what was trained from what, in numbers that are those of the run, and names no path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from transformers import PreTrainedTokenizerFast

from factalign.fkto import FKTOTrainer
from factalign.fkto.run.card import hub_name

from .conftest import make_model, make_rows
from .test_trainer import log_rows, make_trainer


def card_of(
    tokenizer: PreTrainedTokenizerFast, folder: Path, origin: str, **changes: Any
) -> tuple[ModelCard, FKTOTrainer, dict[str, Any]]:
    model = make_model(len(tokenizer))
    model.config._name_or_path = origin
    trainer = make_trainer(tokenizer, folder, model=model, **changes)
    trainer.train()
    result = trainer.save_result()
    return ModelCard.load(folder / result["path"] / "README.md"), trainer, result


def cells(card: ModelCard, name: str) -> list[str]:
    (line,) = [line for line in card.text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.parametrize("method", ["lora", "full", "layers"])
def test_the_card_tells_the_run(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str) -> None:
    rows = make_rows(12)
    rows[0]["label"] = 0.7
    rows[1]["label"] = None
    best = {"eval_steps": 1, "save_steps": 1, "best_metric": "eval_loss"} if method == "full" else {}
    card, trainer, result = card_of(
        tokenizer, tmp_path, "org/tiny", rows=rows, eval_rows=make_rows(5, seed=1), method=method, train_layers=2,
        epochs=2, reference_cache_dir=str(tmp_path / "cache"), **best,
    )  # fmt: skip
    if not best:
        assert "evaluation" not in card.text
    assert card.data.base_model == "org/tiny"
    assert card.data.get("library_name") == ("peft" if method == "lora" else "transformers")
    assert "fkto" in card.data.tags
    assert card.data.to_dict()["training_data"] == {
        "rows": 12, "response_labels": 11, "sentences": result["sentences"], "rows_truncated": 0, "rows_left_out": 0
    }  # fmt: skip
    labels = [row["label"] for row in rows]
    assert cells(card, "labels of responses") == [str(n) for n in (labels.count(True), labels.count(False), 1, 11)]
    sentences = [label for row in rows for label in row["sentence_label"]]
    expected = (sum(sentences), len(sentences) - sum(sentences), 0, len(sentences))
    assert cells(card, "labels of sentences") == [str(n) for n in expected]
    logged = log_rows(trainer)
    for name, text in (("loss", "loss"), ("sentence_margin", "margin of sentences"), ("z0", "z0 of responses, nats")):
        numbers = [f"{logged[0][name]:.4g}", f"{logged[-1][name]:.4g}"]
        if best:
            (judged,) = [
                row for row in trainer.state.log_history
                if "eval_loss" in row and row["step"] == result["best"]["step"]
            ]  # fmt: skip
            numbers.append(f"{judged[f'eval_{name}']:.4g}")
        assert cells(card, text) == numbers
    if best:
        assert result["best"]["step"] < result["steps"]
        assert f"those after step {result['best']['step']}," in card.text
    settings = yaml.safe_load(card.text.split("```yaml")[1].split("```")[0])
    assert settings["method"] == method and settings["beta"] == 0.1
    assert "say nothing about factuality" in card.text.replace("\n", " ")
    assert str(tmp_path) not in card.content and str(Path.home()) not in card.content


def test_a_local_model_is_not_named(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """Not by peft either, whose own card would name its path."""
    folder = tmp_path / "jane" / "policy"
    folder.mkdir(parents=True)
    card, _, _ = card_of(tokenizer, tmp_path / "out", str(folder), method="lora")
    assert card.data.base_model is None
    assert "jane" not in card.content and "a model that is not on the hub" in card.text


def test_names_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert hub_name("org/model-1.5") == "org/model-1.5"
    assert [hub_name(name) for name in ("models/mine", "/home/me/model", "../model", "", "a/b/c")] == [None] * 5
