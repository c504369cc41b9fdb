"""The scripts of docs/from_trl.md, TRL's and ours, run as they are and log the same as far as the page says."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from factalign.fkto import FKTOConfig, FKTOTrainer

from .conftest import SENTENCES, TEMPLATES

trl = pytest.importorskip("trl", minversion="1.16.0", reason="the peer trl is not installed")
pytest.importorskip("datasets", reason="the peer trl needs datasets")

PAGE = Path(__file__).parents[2] / "docs" / "from_trl.md"
NAME = '"HuggingFaceTB/SmolLM2-135M-Instruct"'
SAME = {
    "loss": "loss", "rewards/chosen": "reward_desirable", "rewards/rejected": "reward_undesirable",
    "rewards/margins": "margin",
}  # fmt: skip


def as_text(prompt: str, completion: str) -> tuple[Any, Any]:
    return prompt, f" {completion}"


def as_messages(prompt: str, completion: str) -> tuple[Any, Any]:
    return [{"role": "user", "content": prompt}], [{"role": "assistant", "content": completion}]


def texts() -> list[tuple[str, str]]:
    return [(f"Tell me about Land{i}.", SENTENCES[i % len(SENTENCES)].format(c=f"Land{i}", n=i)) for i in range(8)]


@pytest.fixture
def model(
    saved: Callable[[], Path], tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A tiny model in place of the named one, whose template writes nothing after the end of a turn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tokenizer, "chat_template", TEMPLATES["llama3"])
    return saved()


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def logs(number: int, model: Path, change: Callable[[str], str] = lambda code: code) -> list[dict[str, Any]]:
    """What a script of the page logs, a row a step."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[number]
    assert NAME in code
    names: dict[str, Any] = {}
    exec(compile(change(code.replace(NAME, repr(str(model)))), f"{PAGE.name}, script {number}", "exec"), names)
    return [row for row in names["trainer"].state.log_history if "loss" in row]


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    for own, peer in zip(ours, theirs, strict=True):
        assert {name: own[SAME[name]] for name in SAME} == pytest.approx({n: peer[n] for n in SAME}, abs=2e-5)


@pytest.mark.parametrize("form", [as_text, as_messages])
def test_kto(model: Path, form: Callable[[str, str], tuple[Any, Any]]) -> None:
    made = [form(*each) for each in texts()]
    write("rows.jsonl", [{"prompt": p, "completion": c, "label": i % 2 == 0} for i, (p, c) in enumerate(made)])
    theirs, ours = logs(0, model), logs(1, model)
    assert len(ours) == len(theirs) == 3
    assert_same(ours[:1], theirs[:1])
    adapted = [
        PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), f"{folder}/adapter").state_dict()
        for folder in ("trl_output", "fkto_output")
    ]
    assert adapted[0].keys() == adapted[1].keys()

    theirs, ours = (logs(number, model, lambda code: code.replace('"kto"', '"apo_zero_unpaired"')) for number in (0, 1))
    assert_same(ours, theirs)
    assert abs(ours[-1]["margin"]) > 1e-3


@pytest.mark.parametrize("form", [as_text, as_messages])
def test_pairs_of_dpo(model: Path, form: Callable[[str, str], tuple[Any, Any]]) -> None:
    made = [form(*each) for each in texts()]
    pairs = [{"prompt": p, "chosen": c, "rejected": made[i + 1][1]} for i, (p, c) in enumerate(made[:4])]
    write("pairs.jsonl", pairs)
    theirs, ours = logs(2, model), logs(3, model)
    assert len(ours) == 3
    assert_same(ours, theirs)
    assert abs(ours[-1]["margin"]) > 1e-4


def test_what_a_template_writes_after_the_end_of_a_turn_is_scored_by_trl(model: Path) -> None:
    (model / "chat_template.jinja").write_text(TEMPLATES["chatml"])
    made = [as_messages(*each) for each in texts()]
    write("rows.jsonl", [{"prompt": p, "completion": c, "label": True} for p, c in made])
    theirs, ours = logs(0, model), logs(1, model)
    assert theirs[0]["num_tokens"] == ours[0]["tokens"] + 8


def test_the_arguments_of_the_table_are_those_of_trl() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## Arguments")[1]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    names = {name for cell in cells for name in re.findall(r"`([a-z]\w*)(?:=[^`]*)?`", cell)}
    assert len(names) > 40
    known = trl.KTOConfig.__dataclass_fields__.keys() | inspect.signature(trl.KTOTrainer).parameters.keys()
    assert names <= known
    config = trl.KTOConfig("x", use_cpu=True)
    found = (config.max_length, config.learning_rate, config.logging_steps, config.seed, config.warmup_steps)
    assert found == (1024, 1e-6, 10, 42, 0)
    assert (config.optim, config.weight_decay, config.max_grad_norm) == ("adamw_torch_fused", 0.0, 1.0)
    assert config.gradient_checkpointing and config.disable_dropout


def test_the_arguments_of_the_table_are_ours() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## Arguments")[1]
    cells = [line.split("|")[2] for line in table.splitlines() if line.startswith("| `")]
    settings = {name for cell in cells for name in re.findall(r"`([a-z]\w*)(?:=[^`(]*)?`", cell)}
    assert len(settings) > 30
    assert settings <= FKTOConfig.model_fields.keys()
    arguments = {name for cell in cells for name in re.findall(r"`FKTOTrainer\((?:…, )*(\w+)", cell)}
    assert len(arguments) > 5
    assert arguments <= inspect.signature(FKTOTrainer).parameters.keys()
