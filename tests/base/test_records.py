import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

from factalign.base.records import Record, RecordError, json_objects, read_messages, read_records, rows_of

ROWS = [{"title": "Ghana", "text": "Accra, its capital"}, {"title": "Togo", "text": ""}]


def write(path, rows=ROWS):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_the_three_formats_say_the_same(tmp_path, name):
    records = list(read_records(write(tmp_path / name)))
    assert records == ROWS
    assert all(str(tmp_path / name) in record.where for record in records)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_the_line_is_that_of_an_editor(tmp_path, name):
    assert [record.line for record in read_records(write(tmp_path / name))] == ([1, 2] if "json" in name else [2, 3])


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('\ufeff{"a": 1}\n\n  \n{"a": 2}\n', encoding="utf-8")
    assert [(record["a"], record.line) for record in json_objects(path)] == [(1, 1), (2, 4)]


def test_nested_values_of_parquet_are_lists_and_dicts_without_the_keys_that_were_left_out(tmp_path):
    rows = [{"facts": [{"a": 1, "b": 2}, {"a": 3}], "names": ["x"]}, {"facts": [], "names": None}]
    first, second = read_records(write(tmp_path / "a.parquet", rows))
    assert first == {"facts": [{"a": 1, "b": 2}, {"a": 3}], "names": ["x"]}
    assert second == {"facts": []}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"x", "a.txt: unknown format '.txt'; valid: .jsonl, .csv, .parquet"),
        ("a.jsonl", b'{"a": 1}\n{"a": \xff}\n', "a.jsonl, line 2: not text in UTF-8: byte 0xff"),
        ("a.jsonl", b'{"a": 1}\n{"a": ', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl, line 1: must be a JSON object, got list"),
        ("a.jsonl", b"[" * 200_000, "a.jsonl, line 1: not JSON"),
        ("a.csv", b'a,b\n1,2\n3,"4\n', "a.csv, line 3: not readable as CSV"),
        ("a.csv", b"a,b\n1,2,3\n", "a.csv, line 2: more cells than the header has fields"),
        ("a.csv", b"a,b\n1,\xff\n", "a.csv, line 2: not text in UTF-8: byte 0xff"),
        ("a.parquet", b"PAR1 not", "a.parquet: not a readable Parquet file"),
    ],
)
def test_a_malformed_file_is_named_with_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError) as error:
        list(read_records(tmp_path / name))
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["none.jsonl", "none.csv", "none.parquet"])
def test_a_missing_file_says_what_it_should_hold(tmp_path, name):
    with pytest.raises(RecordError, match=f"{name}: no such file of passages"):
        list(read_records(tmp_path / name, "passages"))


def test_fields_of_a_record():
    record = Record({"a": "x", "blank": " ", "number": 3, "none": None, "nan": float("nan"), "na": pd.NA}, "f, line 1")
    assert record.text("a") == "x"
    assert record.text("missing", "d") == record.text("nan", "d") == record.text("na", "d") == "d"
    assert record.text("blank", "") == " "
    for field, message in (("blank", "must be text that is not empty"), ("number", "must be text that is not empty")):
        with pytest.raises(RecordError, match=f"f, line 1: field '{field}' {message}, got"):
            record.text(field)
    with pytest.raises(RecordError, match="f, line 1: field 'number' must be text, got 3"):
        record.text("number", "")
    with pytest.raises(RecordError, match="f, line 1: unknown field 'blank'; valid: a, number"):
        Record({"a": 1, "blank": 2}, "f, line 1").only(("a", "number"))


def test_rows_in_memory_are_numbered():
    assert [record.where for record in rows_of(pd.DataFrame(ROWS), "table")] == ["table, row 1", "table, row 2"]
    with pytest.raises(RecordError, match="rows, row 2: must be a dict, got str"):
        list(rows_of([{}, "x"], "rows"))


def test_conversations_are_checked_and_well_formed():
    wrong = partial(Record({}, "f, line 1").error, "prompt")
    given = np.array([{"role": "user", "content": "a\ud800", "extra": 1}], dtype=object)
    assert read_messages(given, wrong) == [{"role": "user", "content": "a\ufffd"}]
    for value in ([], "text", None, {"role": "user"}, [{"role": "user"}], [{"role": "user", "content": 3}]):
        with pytest.raises(RecordError, match="f, line 1: field 'prompt' must be text or a list of messages"):
            read_messages(value, wrong)
