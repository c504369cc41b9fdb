import logging

import pandas as pd
import pytest

from factalign.evaluation import VerificationError, retrieve_evidence, verify_claims
from factalign.retrieval import Hit
from factalign.schemas import Evidence, Passages, Verdicts
from factalign.verifiers import Verdict, load_verifier

PASSAGES = pd.DataFrame(
    {
        "passage_id": ["p0", "p1"],
        "title": ["Ghana", "Ghana"],
        "field": ["f", "f"],
        "text": ["Accra is the capital.", "Gold is mined."],
        "aliases": ["[]", "[]"],
        "facts": ["[]", "[]"],
    }
)
CLAIMS = pd.DataFrame(
    {
        "claim_id": ["c0", "c1", "c2"],
        "sentence_id": ["s"] * 3,
        "response_id": ["r"] * 3,
        "text": ["Accra is the capital", "boom", "Gold is mined in Accra"],
        "duplicate_of": [None] * 3,
    }
)
EVIDENCE = pd.DataFrame(
    {"claim_id": ["c0", "c0", "c2"], "rank": [1, 0, 0], "passage_id": ["p1", "p0", "p1"], "score": [1.0, 2.0, 1.0]}
)


class Fragile:
    """Supports everything by its first evidence, and breaks on "boom"."""

    verifier_id = "fragile"

    def __init__(self, broken=None):
        self.broken = broken
        self.calls = 0

    def verify(self, pairs):
        self.calls += 1
        if any(claim == "boom" for claim, _ in pairs):
            if self.broken is None:
                raise RuntimeError("no verdict")
            return [self.broken] * len(pairs)
        return [Verdict("supported", 0.5, 0) for _ in pairs]


def test_evidence_is_ranked_and_restricted_to_the_topic():
    class Recorder:
        def search(self, queries, topics, k):
            self.seen = (queries, topics, k)
            return [[Hit("p0", 2.0), Hit("p1", 1.0)], [], [Hit("p1", 1.0)]]

    retriever = Recorder()
    responses = pd.DataFrame({"response_id": ["r"], "prompt_id": ["p"]})
    prompts = pd.DataFrame({"prompt_id": ["p"], "topic": ["Ghana"]})
    evidence, brought = retrieve_evidence(CLAIMS, responses, prompts, retriever, 2)
    table = Evidence.validate(evidence)
    assert Passages.validate(brought).empty
    assert retriever.seen == (CLAIMS["text"].tolist(), ["Ghana"] * 3, 2)
    assert table[["claim_id", "rank", "passage_id"]].values.tolist() == [
        ["c0", 0, "p0"],
        ["c0", 1, "p1"],
        ["c2", 0, "p1"],
    ]


def test_passages_that_a_retriever_brings_are_evidence():
    class Bringer:
        def search(self, queries, topics, k):
            accra = Hit("w0", 1.0, "Ghana", "Accra is the capital of Ghana.")
            return [[accra, Hit("p1", 0.5)], [], [accra, Hit("w1", 0.5, "", "Gold is mined in Accra.")]]

    responses = pd.DataFrame({"response_id": ["r"], "prompt_id": ["p"]})
    prompts = pd.DataFrame({"prompt_id": ["p"], "topic": [""]})
    evidence, brought = retrieve_evidence(CLAIMS, responses, prompts, Bringer(), 2)
    assert Passages.validate(brought)[["passage_id", "title", "text"]].values.tolist() == [
        ["w0", "Ghana", "Accra is the capital of Ghana."],
        ["w1", "", "Gold is mined in Accra."],
    ]
    verdicts = verify_claims(CLAIMS, evidence, pd.concat([PASSAGES, brought]), Fragile(Verdict("supported", 0.5, 0)))
    assert verdicts["passage_id"].tolist()[::2] == ["w0", "w0"]


def test_one_bad_claim_fails_alone(caplog):
    with caplog.at_level(logging.WARNING):
        verdicts = Verdicts.validate(verify_claims(CLAIMS, EVIDENCE, PASSAGES, Fragile()))
    assert verdicts["label"].tolist() == ["supported", "failed", "supported"]
    assert verdicts["passage_id"].tolist()[::2] == ["p0", "p1"]
    assert pd.isna(verdicts["passage_id"].iloc[1])
    assert "boom" in caplog.text
    assert "no verdict" in caplog.text


def claims_of(*texts):
    columns = {"claim_id": [f"c{number}" for number in range(len(texts))], "text": texts}
    return pd.DataFrame(columns).assign(sentence_id="s", response_id="r", duplicate_of=None)


@pytest.mark.parametrize(("count", "asked"), [(2, 2), (4, 4), (5, 5), (100, 5)])
def test_a_broken_verifier_stops_the_run_early_with_the_cause(count, asked):
    verifier = Fragile()
    with pytest.raises(
        VerificationError, match=f"fragile can judge none of the first {asked} claims.* no verdict"
    ) as info:
        verify_claims(claims_of(*["boom"] * count), EVIDENCE[:0], PASSAGES, verifier)
    assert verifier.calls == asked + 1
    assert isinstance(info.value.__cause__, RuntimeError)
    assert str(info.value.__cause__) == "no verdict"


@pytest.mark.parametrize("bad", [(0,), (57,), (0, 1, 2, 3), (1, 2, 3, 4, 5, 6, 7, 8)])
def test_bad_claims_among_many_fail_alone(bad):
    claims = claims_of(*("boom" if number in bad else "fine" for number in range(60)))
    evidence = pd.DataFrame({"claim_id": claims["claim_id"], "rank": 0, "passage_id": "p0", "score": 1.0})
    labels = verify_claims(claims, evidence, PASSAGES, Fragile())["label"]
    assert tuple(labels.index[labels == "failed"]) == bad
    assert set(labels.drop(list(bad))) == {"supported"}


def test_a_lone_claim_may_fail():
    assert verify_claims(claims_of("boom"), EVIDENCE[:0], PASSAGES, Fragile())["label"].tolist() == ["failed"]


def test_what_a_verifier_itself_calls_failed_is_a_verdict():
    class Spent(Fragile):
        def verify(self, pairs):
            self.calls += 1
            return [Verdict("failed", 0.0)] * len(pairs)

    verifier = Spent()
    verdicts = verify_claims(claims_of(*["fine"] * 9), EVIDENCE[:0], PASSAGES, verifier)
    assert verdicts["label"].tolist() == ["failed"] * 9
    assert verifier.calls == 1


@pytest.mark.parametrize(
    "broken",
    [Verdict("maybe", 0.5), Verdict("supported", 2.0), Verdict("supported", 0.5, 7), Verdict("supported", 0.5, -1)],
)
def test_an_answer_that_is_no_verdict_is_failed(broken):
    assert verify_claims(CLAIMS, EVIDENCE, PASSAGES, Fragile(broken))["label"].tolist()[1] == "failed"


def test_a_missing_passage_is_an_error():
    with pytest.raises(ValueError, match="claim 'c2': passage_id 'p1' is not in the passages"):
        verify_claims(CLAIMS, EVIDENCE[2:], PASSAGES[:1], Fragile())


def test_lexical_end_to_end():
    verdicts = verify_claims(CLAIMS, EVIDENCE, PASSAGES, load_verifier("lexical"))
    assert verdicts["label"].tolist() == ["supported", "not_supported", "not_supported"]


def test_empty_tables():
    verdicts = verify_claims(CLAIMS[:0], EVIDENCE[:0], PASSAGES, load_verifier("lexical"))
    assert Verdicts.validate(verdicts).empty

    class Nothing:
        def search(self, queries, topics, k):
            return []

    responses = pd.DataFrame(columns=["response_id", "prompt_id"])
    prompts = pd.DataFrame(columns=["prompt_id", "topic"])
    evidence, brought = retrieve_evidence(CLAIMS[:0], responses, prompts, Nothing(), 3)
    assert Evidence.validate(evidence).empty
    assert Passages.validate(brought).empty
