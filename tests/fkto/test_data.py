"""Rows of three formats, and what is wrong with rows."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factalign.base.records import RecordError
from factalign.fkto.rows.data import parse_row, parse_rows, read_rows

USER = [{"role": "user", "content": "Hi."}]
ANSWER = [{"role": "assistant", "content": "One is. Two  are. Three."}]


def row(**changes: Any) -> dict[str, Any]:
    return {"prompt": USER, "completion": ANSWER, "label": True, **changes}


def test_our_format() -> None:
    found = parse_row(
        row(
            sentence_spans=[[0, 7], [8, 17]],
            sentence_label=[True, None],
            finish_reason="length",
            response_id="r1",
        ),
        "x",
    )
    assert found.spans == ((0, 7),)
    assert found.sentence_labels == (True,)
    assert not found.finished
    assert "r1" in found.name


def test_the_authors_format_finds_its_sentences_in_the_text() -> None:
    found = parse_row(row(completion_sentences=["One is.", "Two are.", "Three."], sentence_label=[1, 0, 1]), "x")
    assert found.spans == ((0, 7), (8, 17), (18, 24))
    assert found.sentence_labels == (True, False, True)


def test_repeated_sentences_are_found_in_turn() -> None:
    found = parse_row(row(completion="No. No. No.", completion_sentences=["No."] * 3, sentence_label=[True] * 3), "x")
    assert found.spans == ((0, 3), (4, 7), (8, 11))


def test_rows_without_sentences() -> None:
    found = parse_row(row(completion_sentences=None, sentence_label=None), "x")
    assert found.spans == ()


def test_trls_unpaired_preferences() -> None:
    found = parse_row({"prompt": "The sky is", "completion": " blue.", "label": False}, "x")
    assert (found.prompt, found.completion, found.label) == ("The sky is", " blue.", False)
    assert parse_row(row(), "x").prompt == (("user", "Hi."),)


@pytest.mark.parametrize("value", [1, 0, True, False, 1.0, np.int64(1), np.bool_(False)])
def test_integer_labels_are_booleans(value: Any) -> None:
    """FactAlign defect 7: labels 0/1 instead of booleans give a NaN loss."""
    assert parse_row(row(label=value), "x").label is bool(value)


def test_soft_labels_and_weights() -> None:
    sentences = {"sentence_spans": [[0, 7], [8, 17], [18, 24]], "sentence_label": [0.3, None, True]}
    found = parse_row(row(label=np.float32(0.75), weight=np.int64(2), sentence_weight=[0, 5, 0.5], **sentences), "x")
    assert (found.label, found.weight) == (0.75, 2.0)
    assert (found.sentence_labels, found.sentence_weights) == ((0.3, True), (0.0, 0.5))
    assert [found.sentence_weight(i) for i in (0, 1)] == [0.0, 0.5]
    plain = parse_row(row(weight=None, sentence_weight=None, **sentences), "x")
    assert (plain.weight, [plain.sentence_weight(i) for i in (0, 1)]) == (1.0, [1.0, 1.0])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"label": 2}, "'label'"),
        ({"label": "true"}, "'label'"),
        ({"label": float("nan")}, "'label'"),
        ({"label": [True]}, "'label'"),
        ({"label": -0.5}, "'label'"),
        ({"label": 1.5}, "'label'"),
        ({"weight": -1}, "'weight' .*-1"),
        ({"weight": float("nan")}, "'weight' .*nan"),
        ({"weight": float("inf")}, "'weight' .*inf"),
        ({"weight": "1"}, "'weight' .*'1'"),
        ({"weight": True}, "'weight' .*True"),
        ({"sentence_weight": [1.0]}, "'sentence_weight' has 1 entries, but 'sentence_label' has 0"),
        ({"sentence_weight": 1.0}, "'sentence_weight' must be a list"),
        (
            {"sentence_label": [True], "sentence_spans": [[0, 7]], "sentence_weight": [1.0, 2.0]},
            "'sentence_weight' has 2 entries, but 'sentence_label' has 1",
        ),
        (
            {"sentence_label": [True], "sentence_spans": [[0, 7]], "sentence_weight": [float("nan")]},
            r"'sentence_weight' \[0\] .*nan",
        ),
        (
            {"sentence_label": [True, True], "sentence_spans": [[0, 7], [8, 17]], "sentence_weight": [1.0, -2.0]},
            r"'sentence_weight' \[1\] .*-2.0",
        ),
        ({"prompt": []}, "'prompt'"),
        ({"prompt": 3}, "'prompt'"),
        ({"prompt": [{"role": "user"}]}, r"'prompt' .*\[0\]"),
        ({"completion": None}, "'completion'"),
        ({"completion": USER}, "'completion'"),
        ({"completion": ANSWER * 2}, "'completion'"),
        ({"sentence_label": [True]}, "sentence_spans"),
        ({"sentence_label": [True], "sentence_spans": [[0, 99]]}, r"'sentence_spans' \[0\]"),
        ({"sentence_label": [True], "sentence_spans": [[5, 5]]}, r"'sentence_spans' \[0\]"),
        ({"sentence_label": [True, True], "sentence_spans": [[0, 9], [8, 17]]}, r"'sentence_spans' \[1\]"),
        ({"sentence_label": [True], "sentence_spans": [[0, 7], [8, 9]]}, "'sentence_spans' has 2"),
        ({"sentence_label": [True], "sentence_spans": [[0]]}, r"'sentence_spans' \[0\]"),
        ({"sentence_label": [3], "sentence_spans": [[0, 7]]}, r"'sentence_label' \[0\]"),
        ({"sentence_label": 1, "sentence_spans": [[0, 7]]}, "'sentence_label'"),
        ({"sentence_label": [True], "completion_sentences": ["Four."]}, r"'completion_sentences' \[0\]"),
        ({"sentence_label": [True], "completion_sentences": [""]}, r"'completion_sentences' \[0\]"),
        (
            {"sentence_label": [True], "completion_sentences": ["Two"], "sentence_spans": [[0, 7]]},
            r"'sentence_spans' \[0\]",
        ),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordError, match=f"^here: field .*{field}"):
        parse_row(row(**change), "here")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(RecordError, match=r"^x: field 'label' is missing"):
        parse_row({"prompt": "a", "completion": "b"}, "x")


def test_files_name_path_and_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row()) + "\n\n{broken\n")
    with pytest.raises(RecordError, match=r"rows\.jsonl, line 3: not JSON"):
        read_rows(path)
    path.write_text(json.dumps(row()) + "\n" + json.dumps(row(label=5)) + "\n")
    with pytest.raises(
        RecordError,
        match=r"rows\.jsonl, line 2: field 'label' must be true, false, a number from 0 to 1 or null, got 5",
    ):
        read_rows(path)
    path.write_text("\n")
    with pytest.raises(RecordError, match="no rows"):
        read_rows(path)


def test_files_give_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row()) + "\n" + json.dumps(row(label=None)) + "\n")
    assert [r.label for r in read_rows(path)] == [True, None]


def test_a_byte_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps(row()).encode() + b"\n" + json.dumps(row()).encode().replace(b"Hi", b"\xff"))
    with pytest.raises(RecordError, match=r"rows\.jsonl, line 2: not text in UTF-8: byte 0xff"):
        read_rows(path)


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row()) + "\n", encoding="utf-8-sig")
    assert [r.label for r in read_rows(path)] == [True]


def test_rows_come_through_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=[json.dumps(row()) + "\n"])
    writer.start()
    assert len(read_rows(path)) == 1
    writer.join()
    with pytest.raises(RecordError, match=r"nowhere: no such file of preference rows"):
        read_rows(tmp_path / "nowhere")
    with pytest.raises(RecordError, match=r"no such file of preference rows"):
        read_rows(tmp_path)


def test_arrays_and_tuples_are_lists() -> None:
    """What `datasets`, pandas and hand-written code hand over."""
    found = parse_row(
        row(
            prompt=np.array(USER, dtype=object),
            completion=tuple(ANSWER),
            sentence_spans=np.array([[0, 7], [8, 17]]),
            sentence_label=np.array([1, 0]),
        ),
        "x",
    )
    assert found == parse_row(row(sentence_spans=[(0, 7), (8, 17)], sentence_label=(True, False)), "x")


def test_rows_in_memory_are_counted_from_one() -> None:
    with pytest.raises(RecordError, match=r"^rows, row 2: field 'label'"):
        parse_rows([row(), row(label=3)])
    with pytest.raises(RecordError, match=r"^rows, row 2: must be a dict, got int"):
        parse_rows([row(), 3])  # type: ignore[list-item]
    first = parse_rows([row()])
    assert first[0].name == "rows, row 1" and parse_rows(first) == first


def test_lone_surrogates_keep_their_place() -> None:
    found = parse_rows([row(completion="A \ud800 b.", sentence_spans=[[0, 6]], sentence_label=[True])])[0]
    assert found.completion == "A \ufffd b."
    found.completion.encode()


def test_many_sentences_are_found_in_linear_time() -> None:
    text = "Same words. " * 20_000
    found = parse_row(
        row(completion=text, completion_sentences=["Same words."] * 20_000, sentence_label=[True] * 20_000),
        "x",
    )
    assert len(found.spans) == 20_000
