import json
from pathlib import Path

import pandas as pd
import pytest

from factalign.audit import load_labelled

PROJECT = Path(__file__).resolve().parents[2]


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_claims_of_ones_own(tmp_path):
    path = write(
        tmp_path / "mine.jsonl",
        {"claim": "A.", "evidence": "x", "label": "supported"},
        {"claim": "A.", "evidence": ["x", " ", "y"], "label": "not_supported", "group": 7},
        {"claim": "B.", "topic": "Chad", "label": "irrelevant"},
    )
    table = load_labelled("mine", "claims", path)
    assert table["evidence"].tolist() == [["x"], ["x", "y"], []]
    assert table["topic"].tolist() == ["", "", "Chad"]
    assert table["group"].tolist() == ["A.", "7", "Chad"]
    assert table["claim_id"].is_unique
    assert set(table["labelled_set"]) == {"mine"}


def test_the_example_that_is_shipped():
    table = load_labelled("example", "claims", str(PROJECT / "docs/examples/labelled_claims.jsonl"))
    assert table["label"].value_counts().to_dict() == {"supported": 3, "not_supported": 3, "irrelevant": 1}


def test_readings_that_differ_are_left_out(tmp_path):
    readings = [["telling", "telling"], ["false"], ["trivial"] * 2, ["nothing"] * 2, ["telling", "false"]]
    rows = [{"claim": f"{i}.", "topic": "Chad", "readings": each} for i, each in enumerate(readings)]
    table = load_labelled("read", "readings", write(tmp_path / "read.jsonl", *rows))
    assert table["label"].fillna("").tolist() == ["supported", "not_supported", "", "irrelevant", ""]
    assert table["given_label"].tolist() == ["telling", "false", "trivial", "nothing", "disputed"]


def test_the_labels_of_the_project():
    folder = PROJECT / "data/01_raw/labels"
    table = load_labelled("dev", "readings", str(folder / "audit_dev.jsonl"))
    assert len(table) >= 300 and table["topic"].nunique() == 20
    sentences, claims = (pd.read_parquet(folder / f"{name}.parquet") for name in ("sentences", "claims"))
    assert len(sentences) >= 4000 and set(sentences["split"]) == {"train", "dev"}
    assert set(claims["sentence_id"]) <= set(sentences["sentence_id"])
    assert set(table["topic"]) == set(sentences.loc[sentences["split"] == "dev", "topic"])
    assert all(row.text == row.response[row.start : row.end] for row in sentences.itertuples())
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < 2e6


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("claims", {"evidence": "x", "label": "supported"}, "field 'claim' must be text that is not empty, got None"),
        ("claims", {"claim": "A.", "evidence": "x", "label": "true"}, "field 'label' must be one of supported, not_s"),
        ("claims", {"claim": "A.", "label": "supported"}, r"field 'topic' \(or 'evidence'\) must be text"),
        ("claims", {"claim": "A.", "evidence": [1], "label": "supported"}, "field 'evidence' must be text or a list"),
        (
            "factcheck",
            {"claim": "A.", "evidence": "x", "stance": "support"},
            "field 'stance' must be one of completely",
        ),
        (
            "wice",
            {"claim": "A.", "evidence": "x", "label": "supported"},
            "field 'evidence' must be a list of sentences",
        ),
        ("factbook", {"claim": "A.", "topic": "people", "label": "supported"}, r"field 'topic' \(or 'evidence'\)"),
        ("claims", ["A."], "must be a JSON object"),
        ("readings", {"claim": "A.", "topic": "x", "readings": "false"}, "field 'readings' must be a list of labels"),
        ("readings", {"claim": "A.", "topic": "x", "readings": ["true"]}, "field 'readings' must be of telling, triv"),
    ],
)
def test_a_bad_row_is_named_by_path_line_and_field(tmp_path, kind, row, message):
    path = write(tmp_path / "mine.jsonl", row)
    with pytest.raises(ValueError, match=rf"mine\.jsonl, line 1: {message}"):
        load_labelled("mine", kind, path)


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match=r"none\.jsonl: no such file of labelled claims"):
        load_labelled("mine", "claims", str(tmp_path / "none.jsonl"))
    with pytest.raises(ValueError, match=r"empty\.jsonl: no labelled claims"):
        load_labelled("mine", "claims", write(tmp_path / "empty.jsonl"))
    with pytest.raises(ValueError, match="valid names: claims, factbook, factcheck, readings, wice"):
        load_labelled("mine", "csv", write(tmp_path / "empty.jsonl"))


def test_published_sets(external_data):
    folder = external_data / "verifier"
    factcheck = load_labelled("factcheck", "factcheck", str(folder / "factcheck_gpt_stance_dev.jsonl"))
    assert factcheck["label"].value_counts().to_dict() == {"not_supported": 1130, "supported": 366}
    assert factcheck["label"].isna().sum() == 219
    assert set(factcheck.loc[factcheck["label"].isna(), "given_label"]) == {"partially-support"}
    wice = load_labelled("wice", "wice", str(folder / "wice_claim_dev.jsonl"))
    assert wice["label"].value_counts().to_dict() == {"not_supported": 234, "supported": 115}
    assert (wice["evidence"].map(len) == 1).all()
    factbook = load_labelled("factbook", "factbook", str(folder / "factbook_claims_dev.jsonl"))
    assert factbook["group"].nunique() == 40
    assert (factbook["topic"] == factbook["group"]).all()
