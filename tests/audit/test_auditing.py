import json
import sys

import pandas as pd
import pytest

from factalign.analysis import format_audit
from factalign.audit import audit_problem, audit_table, judge_labelled, load_labelled
from factalign.corpora import read_passages
from factalign.retrieval import RETRIEVERS
from factalign.verifiers import Verdict, load_verifier

ROWS = [
    {"claim": "The capital of Freedonia is Glorystone.", "label": "supported", "topic": "Freedonia"},
    {"claim": "The capital of Freedonia is Venice.", "label": "not_supported", "topic": "Freedonia"},
    {
        "claim": "The capital of Sylvania is Harpo.",
        "label": "supported",
        "evidence": "Harpo is the capital of Sylvania.",
    },
    {"claim": "The capital of Sylvania is Oslo.", "label": "not_supported", "evidence": []},
]


class Always:
    """Says one thing, and remembers what it was shown."""

    def __init__(self, label):
        self.label, self.verifier_id, self.pairs = label, f"always-{label}", []

    def verify(self, pairs):
        self.pairs += pairs
        return [Verdict(self.label, 0.9) for _ in pairs]


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return load_labelled("mine", "claims", str(path))


@pytest.fixture
def corpus(tmp_path):
    passages = pd.DataFrame(
        {"passage_id": ["p"], "title": "Freedonia", "text": "The capital of Freedonia is Glorystone."}
    )
    passages = passages.assign(field="", aliases="[]", facts="[]")
    retriever = RETRIEVERS.build("bm25")
    retriever.build(passages, tmp_path / "index")
    return passages, retriever


def test_each_claim_is_judged_by_its_own_evidence_or_by_what_is_retrieved(labelled, corpus):
    shown = Always("supported")
    judge_labelled(labelled, [shown], *corpus, k=3)
    assert [[item.text for item in evidence] for _, evidence in shown.pairs] == [
        ["The capital of Freedonia is Glorystone."],
        ["The capital of Freedonia is Glorystone."],
        ["Harpo is the capital of Sylvania."],
        [],
    ]


def test_the_table_by_hand(labelled, corpus):
    left_out = labelled.copy()
    left_out.loc[3, "label"] = None
    judgements = judge_labelled(left_out, [Always("supported"), Always("not_supported")], *corpus, k=3)
    assert len(judgements) == 6
    table = audit_table(left_out, judgements, resamples=200)
    json.dumps(table, allow_nan=False)
    assert table["sets"]["mine"] == {
        "claims": 3,
        "groups": 2,
        "labels": {"supported": 2, "not_supported": 1},
        "left_out": {"not_supported": 1},
    }
    found = {result["verifier_id"]: result["metrics"] for result in table["results"]}
    recall = {name: metrics["recall_not_supported"]["value"] for name, metrics in found.items()}
    assert recall == {"always-supported": 0.0, "always-not_supported": 1.0}
    for name, metrics in found.items():  # whoever always says the same never passes
        assert metrics["youden_j"] == {**metrics["youden_j"], "value": 0.0, "low": 0.0, "high": 0.0}
        assert "hardly tells" in audit_problem(table, name, 0.01)
    (difference,) = table["differences"]
    assert (difference["first"], difference["second"]) == ("always-not_supported", "always-supported")
    assert difference["metrics"]["recall_not_supported"]["value"] == 1.0
    assert difference["metrics"]["accuracy"]["value"] == pytest.approx(-1 / 3)
    assert difference["metrics"]["accuracy"]["n"] == 2


def test_the_same_verifier_twice_is_refused(labelled, corpus):
    with pytest.raises(ValueError, match="the same verifier twice"):
        judge_labelled(labelled, [Always("supported"), Always("supported")], *corpus, k=3)


def test_what_is_good_enough():
    def result(name, value, low):
        estimate = {"value": value, "low": low, "high": 0.9}
        return {"set": name, "verifier_id": "v", "metrics": {"youden_j": estimate}}

    table = {"results": [result("a", 0.5, 0.4), result("b", 0.8, 0.3), result("c", None, None)]}
    assert audit_problem(table, "v", 0.3) is None
    problem = audit_problem(table, "v", 0.35)
    assert problem == (
        "the verifier v hardly tells supported claims in 'b' from others: Youden's J is 0.80 [0.30, 0.90], at least "
        "0.35 is asked for"
    )
    for nothing in (None, {"results": []}, {"results": [result("c", None, None)]}):
        assert "the verifier v was never audited" in audit_problem(nothing, "v", 0.0)
    assert "the verifier w was never audited" in audit_problem(table, "w", 0.0)


def test_lexical_agrees_with_the_labelled_claims(external_data, tmp_path, capsys):
    path = external_data / "verifier" / "factbook_claims_dev.jsonl"
    labelled = load_labelled("factbook", "factbook", str(path))
    passages = read_passages("factbook")
    retriever = RETRIEVERS.build("bm25")
    retriever.build(passages, tmp_path)
    judgements = judge_labelled(labelled, [load_verifier("lexical")], passages, retriever, k=20)
    table = audit_table(labelled, judgements)
    with capsys.disabled():
        sys.stdout.write(f"\n{format_audit(table)}\n")
    (result,) = table["results"]
    found = {name: estimate["value"] for name, estimate in result["metrics"].items()}
    assert found["accuracy"] >= 0.79
    assert found["precision_supported"] >= 0.80
    assert found["recall_supported"] >= 0.70
    assert found["recall_not_supported"] >= 0.91
