import json
from pathlib import Path

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
    with pytest.raises(ValueError, match="valid names: claims, factbook, factcheck, wice"):
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
