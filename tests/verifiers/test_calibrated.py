import json

import numpy as np
import pytest

from factalign.retrieval import open_retriever
from factalign.verifiers import load_verifier, passages_by_id
from factalign.verifiers.calibrated.features import FEATURES
from factalign.verifiers.calibrated.regression import Regression
from factalign.verifiers.lexical.verifier import LexicalVerifier

CLASSES = ("telling", "trivial", "false", "nothing")


@pytest.fixture
def content():
    """A model by hand: supported claims are telling or trivial, contradicted ones false, others nothing."""
    weights = np.zeros((4, len(FEATURES)))
    weights[:2, FEATURES.index("supported")] = 3
    weights[2, FEATURES.index("contradicted_by_facts")] = 4
    ones = np.ones(len(FEATURES))
    model = Regression(CLASSES, FEATURES, 0 * ones, ones, weights, np.array([0, 0, 0, 2.0]), 1.0)
    return {
        "lexical": LexicalVerifier().verifier_id,
        "retriever": {"name": "bm25", "options": {}},
        "passages_per_claim": 10,
        "other_topics": ["Eastland", "Westland"],
        "claims": model.to_json(),
    }


@pytest.fixture
def build(content, passages, tmp_path):
    def build(**changes):
        (tmp_path / "model.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")
        passages.to_parquet(tmp_path / "passages.parquet")
        options = {"path": str(tmp_path / "model.json"), "passages": str(tmp_path / "passages.parquet")}
        return load_verifier("calibrated", **options)

    return build


def test_the_most_probable_class_answers(build, passages, index_dir):
    claims = ["Midland is bordered by Westland", "Midland is bordered by Ruritania", "Midland sells marzipan"]
    known = passages_by_id(passages)
    hits = open_retriever("bm25", index_dir).search(claims, ["Midland"] * 3, 10)
    pairs = [(claim, [known[hit.passage_id] for hit in found]) for claim, found in zip(claims, hits, strict=True)]
    verdicts = build().verify([*pairs, ("Midland sells marzipan", []), ("", [])])
    assert [verdict.label for verdict in verdicts] == ["supported", "not_supported", *["irrelevant"] * 3]
    e = np.exp([3, 3, 0, 2])
    assert verdicts[0].confidence == pytest.approx(e[:2].sum() / e.sum(), abs=1e-4)
    index = verdicts[0].evidence_index
    assert "Westland" in pairs[0][1][index].text
    assert verdicts[3].evidence_index is None


def test_the_id_changes_with_the_model(build, content):
    first = build().verifier_id
    assert first == build().verifier_id
    assert first != build(passages_per_claim=5).verifier_id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lexical": "lexical-0"}, "run the pipeline calibration again"),
        ({"other_topics": ["Ruritania"]}, "lack 1 topics.*'Ruritania'"),
        ({"claims": {}}, "not a regression"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(build, changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match=r"cannot read no\.json"):
        load_verifier("calibrated", path="no.json", passages="no.parquet")
