"""TRL's paired preferences become two rows each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from factalign.base.records import RecordError
from factalign.fkto.rows.data import parse_rows, read_rows
from factalign.fkto.rows.plan import mismatch

from .conftest import make_rows
from .test_trainer import make_trainer

USER = {"role": "user", "content": "Hi."}


def says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def pair(**changes: Any) -> dict[str, Any]:
    return {"prompt": "Which colour?", "chosen": " Blue.", "rejected": " Green.", **changes}


@pytest.mark.parametrize(
    ("given", "prompt"),
    [
        (pair(prompt=[USER], chosen=[says("Blue.")], rejected=[says("Green.")]), (("user", "Hi."),)),
        ({"chosen": [USER, says("Blue.")], "rejected": [USER, says("Green.")]}, (("user", "Hi."),)),
        (
            {"chosen": [USER, says("A"), USER, says("Blue.")], "rejected": [USER, says("A"), USER, says("Green.")]},
            (("user", "Hi."), ("assistant", "A"), ("user", "Hi.")),
        ),
        (pair(chosen="Blue.", rejected="Green."), "Which colour?"),
        (pair(chosen="Blue.", rejected="Green.", completion=None, label=None), "Which colour?"),
    ],
)
def test_a_pair_is_a_desirable_and_an_undesirable_row(given: dict[str, Any], prompt: Any) -> None:
    good, bad = parse_rows([{**given, "weight": 2, "response_id": "r7"}])
    assert (good.prompt, good.completion, good.label, good.weight) == (prompt, "Blue.", True, 2.0)
    assert (bad.prompt, bad.completion, bad.label, bad.weight) == (prompt, "Green.", False, 2.0)
    assert (good.name, bad.name) == ("rows, row 1, chosen (r7)", "rows, row 1, rejected (r7)")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (pair(rejected=" Blue."), "field 'rejected' must differ from 'chosen', but both are ' Blue.'"),
        ({"chosen": [USER, says("A")], "rejected": [USER, says("A")]}, "field 'rejected' must differ from 'chosen'"),
        (pair(rejected=None), "field 'rejected' is missing"),
        ({"prompt": "a", "rejected": "b"}, "field 'chosen' is missing"),
        ({"chosen": "a b", "rejected": "a c"}, "field 'prompt' is missing; only conversations"),
        ({"chosen": [says("A")], "rejected": [says("B")]}, "field 'prompt' is missing, and 'chosen' and 'rejected'"),
        (pair(label=True), "field 'label' speaks of one completion"),
        (pair(completion="Blue."), "field 'completion' speaks of one completion"),
        (pair(sentence_label=[True]), "field 'sentence_label' speaks of one completion"),
        (pair(rejected=[says("Green.")]), "field 'rejected' must be text if 'chosen' is"),
        (pair(chosen=3, rejected=4), "field 'chosen' must be text or a list of messages"),
        (pair(chosen=[USER, says("A")], rejected=[says("B")]), "field 'chosen' must be one assistant message, got"),
        (
            {"chosen": [USER, says("A"), USER, says("B")], "rejected": [USER, says("C")]},
            "field 'chosen' must be one assistant message after the 1 messages that both begin with, got",
        ),
        ({"chosen": [USER, says("A")], "rejected": [USER]}, "field 'rejected' must be one assistant message after"),
    ],
)
def test_what_is_wrong_with_a_pair_is_named(tmp_path: Path, given: dict[str, Any], problem: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(pair()) + "\n" + json.dumps(given) + "\n")
    with pytest.raises(RecordError) as raised:
        read_rows(path)
    assert str(raised.value).startswith(f"{path}, line 2: {problem}")


def test_the_halves_of_a_pair_are_never_mismatched() -> None:
    rows = parse_rows([pair(prompt=f"Question {i % 3}?", chosen=f"{i}", rejected=f"not {i}") for i in range(7)])
    prompts = [row.prompt for row in rows]
    for epoch in range(50):
        assert all(prompts[j] != prompts[i] for i, j in enumerate(mismatch(prompts, 0, epoch)) if j is not None)
    assert mismatch(prompts[:2], 0, 0) == [None, None]


def test_training_on_pairs_is_training_on_their_halves(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    good, bad = make_rows(4, seed=1, prompts=4), make_rows(4, seed=2, prompts=4)
    pairs = [
        {"prompt": a["prompt"], "chosen": a["completion"], "rejected": b["completion"]}
        for a, b in zip(good, bad, strict=True)
    ]
    halves = [
        {"prompt": row["prompt"], "completion": row["completion"], "label": label}
        for both in zip(good, bad, strict=True)
        for row, label in zip(both, (True, False), strict=True)
    ]
    found, expected = (
        make_trainer(tokenizer, tmp_path / name, rows, batch_size=4, micro_batch_size=4)
        for name, rows in (("pairs", pairs), ("halves", halves))
    )
    found.train(), expected.train()
    for ours, theirs in zip(found.model.parameters(), expected.model.parameters(), strict=True):
        assert ours.equal(theirs)
