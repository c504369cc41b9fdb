import json

import pytest
from kedro.io.core import DatasetError, Version

from factalign.datasets import JSONLinesDataset

ROWS = [
    {
        "prompt_id": "007",
        "label": True,
        "text": "🇦🇹 日本\u2028 two\nlines",
        "nested": [{"role": "user", "n": None}],
    },
    {"prompt_id": "1e5", "label": None, "text": "", "nested": [[0, 4]]},
]


@pytest.fixture
def dataset(tmp_path):
    return JSONLinesDataset(filepath=str(tmp_path / "folder" / "rows.jsonl"))


def test_rows_keep_their_types(dataset):
    assert not dataset.exists()
    dataset.save(ROWS)
    assert dataset.exists()
    assert dataset.load() == ROWS


def test_no_rows(dataset):
    dataset.save([])
    assert dataset.load() == []
    assert dataset.preview() == {"index": [], "columns": [], "data": []}


def test_versions(tmp_path):
    path = str(tmp_path / "rows.jsonl")
    for day in ("2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"):
        JSONLinesDataset(filepath=path, version=Version(None, day)).save([{"day": day}])
    latest = JSONLinesDataset(filepath=path, version=Version(None, None))
    assert latest.exists()
    assert latest.load() == [{"day": "2026-01-02T00.00.00.000Z"}]


def test_a_versioned_dataset_without_versions_does_not_exist(tmp_path):
    assert not JSONLinesDataset(filepath=str(tmp_path / "rows.jsonl"), version=Version(None, None)).exists()


@pytest.mark.parametrize("wrong", [["text"], [{"x": float("nan")}], [{"x": object()}], [{"x": "\ud800"}]])
def test_a_failed_save_names_the_row_and_keeps_the_old_file(dataset, tmp_path, wrong):
    dataset.save(ROWS)
    with pytest.raises(DatasetError, match="row 2"):
        dataset.save([ROWS[0], *wrong])
    assert dataset.load() == ROWS
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize("line", [b'{"a": 1', b"[1]", b'"\xff"', b'{"a": "\xff"}'])
def test_a_bad_line_is_named(dataset, tmp_path, line):
    dataset.save(ROWS)
    path = tmp_path / "folder" / "rows.jsonl"
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(DatasetError, match=r"rows\.jsonl, line 3"):
        dataset.load()


def test_blank_lines_and_a_byte_order_mark_are_passed_over(dataset, tmp_path):
    dataset.save(ROWS)
    path = tmp_path / "folder" / "rows.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\ufeff\n  \n" + "\n\n".join(lines), encoding="utf-8")
    assert dataset.load() == ROWS
    assert dataset.preview(nrows=2)["index"] == [0, 1]
    assert dataset.preview(nrows=2)["data"][1][0] == "1e5"


def test_the_preview_names_a_bad_line(dataset, tmp_path):
    dataset.save(ROWS)
    path = tmp_path / "folder" / "rows.jsonl"
    path.write_bytes(b"{\n" + path.read_bytes())
    with pytest.raises(DatasetError, match=r"rows\.jsonl, line 1"):
        dataset.preview()


def test_the_preview_is_a_table_that_json_can_hold(dataset):
    dataset.save(ROWS * 5)
    preview = dataset.preview(nrows=3)
    assert preview["columns"] == ["prompt_id", "label", "text", "nested"]
    assert len(preview["data"]) == len(preview["index"]) == 3
    assert preview["data"][1][3] == "[[0, 4]]"
    json.dumps(preview)
