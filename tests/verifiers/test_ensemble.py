import pytest
from fixtures.chat_server import ChatServer

from factalign.base.registry import Choice
from factalign.chat import costs_of
from factalign.schemas import Costs
from factalign.verifiers import Verdict, load_verifier

GHANA = ["Accra is the capital of Ghana.", "Ghana exports gold and cocoa."]


class Fixed:
    """Gives one verdict for every claim, and remembers what it was asked."""

    def __init__(self, label, confidence, index=None):
        self.verdict = Verdict(label, confidence, index)
        self.asked = []

    @property
    def verifier_id(self):
        return f"fixed-{self.verdict.label}"

    def verify(self, pairs):
        self.asked += [claim for claim, _ in pairs]
        return [self.verdict] * len(pairs)


def ensemble(*members, **options):
    return load_verifier("ensemble", members=list(members), **options)


def test_a_cascade_asks_the_next_only_for_what_is_left():
    last = Fixed("supported", 0.8, 0)
    pairs = [("The capital of Ghana is Accra", GHANA), ("The capital of Ghana is Kumasi", GHANA), ("", GHANA)]
    lexical = {"name": "lexical", "options": {"coverage": 0.6}}
    alone = load_verifier("lexical", coverage=0.6).verify(pairs)
    assert [verdict.label for verdict in alone] == ["supported", "not_supported", "irrelevant"]
    verdicts = ensemble(lexical, last).verify(pairs)
    assert last.asked == ["The capital of Ghana is Kumasi"]
    assert verdicts == [alone[0], Verdict("supported", 0.8, 0), alone[2]]


def test_one_bar_for_all_labels():
    first, last = Fixed("irrelevant", 0.7), Fixed("supported", 0.6)
    assert ensemble(first, last, unsure_below=0.7).verify([("a", [])]) == [first.verdict]
    assert ensemble(first, last, unsure_below=0.71).verify([("a", [])]) == [last.verdict]


def test_a_member_that_fails_leaves_the_claim_to_the_others():
    failed, sure, unsure = Fixed("failed", 0.0), Fixed("not_supported", 0.99), Fixed("supported", 0.5)
    assert ensemble(failed, sure).verify([("a", [])]) == [sure.verdict]
    assert ensemble(unsure, failed).verify([("a", [])]) == [unsure.verdict]
    assert ensemble(failed, failed).verify([("a", [])]) == [Verdict("failed", 0.0)]
    assert ensemble(failed, unsure, mode="vote").verify([("a", [])]) == [unsure.verdict]
    assert ensemble(failed, failed, mode="vote").verify([("a", [])]) == [Verdict("failed", 0.0)]


def test_votes_are_weighted_by_confidence():
    yes, no = Fixed("supported", 0.9, 1), Fixed("not_supported", 0.6)
    (verdict,) = ensemble(yes, no, mode="vote").verify([("a", GHANA)])
    assert (verdict.label, verdict.confidence, verdict.evidence_index) == ("supported", pytest.approx(0.65), 1)
    (verdict,) = ensemble(yes, no, mode="vote", weights=[1, 9]).verify([("a", GHANA)])
    assert (verdict.label, verdict.confidence) == ("not_supported", pytest.approx(0.55))
    (verdict,) = ensemble(yes, yes, mode="vote").verify([("a", GHANA)])
    assert verdict.confidence == pytest.approx(0.9)


def test_the_id_names_members_and_settings():
    one, other = Fixed("supported", 0.9), Fixed("irrelevant", 0.9)
    ids = {
        ensemble(one, other).verifier_id,
        ensemble(other, one).verifier_id,
        ensemble(one, other, mode="vote").verifier_id,
        ensemble(one, other, mode="vote", weights=[1, 2]).verifier_id,
        ensemble(one, other, unsure_below=0.5).verifier_id,
    }
    assert len(ids) == 5
    assert all("fixed-supported" in name and "fixed-irrelevant" in name for name in ids)


def test_a_member_is_a_name_a_choice_or_a_verifier():
    members = "lexical", {"name": "lexical"}, Choice(name="lexical"), load_verifier("lexical")
    assert ensemble(*members).verifier_id.endswith("(" + " > ".join(["lexical-1-coverage=0.7"] * 4) + ")")


def test_an_ensemble_costs_what_its_members_cost(tmp_path):
    with ChatServer() as server:

        def chat(model):
            options = {
                "model": model,
                "engine": server.engine(),
                "prices": {"input": 1.0, "output": 1.0},
                "cache": str(tmp_path / f"{model}.sqlite"),
            }
            return {"name": "llm", "options": {"chat": options, "claims_per_call": 1}}

        several = ensemble("lexical", ensemble(chat("first"), mode="vote"), chat("second"), mode="vote")
        several.verify([("The capital of Ghana is Accra", GHANA), ("Ghana exports gold", GHANA)])
        costs = Costs.validate(costs_of(several, num_responses=1, num_claims=2))
        asked = [body["model"] for body in server.requests]
    assert costs["model"].tolist() == ["first", "second"]
    assert costs["calls"].tolist() == [asked.count("first"), asked.count("second")] == [2, 2]
    assert costs["money"].tolist() == pytest.approx([220e-6] * 2)
    assert Costs.validate(costs_of(ensemble("lexical"), num_responses=1, num_claims=2)).empty


def test_nothing_to_verify():
    assert ensemble({"name": "lexical"}).verify([]) == []
    assert ensemble({"name": "lexical"}, mode="vote").verify([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": []}, "at least one verifier"),
        ({"members": [{"name": "oracle"}]}, "unknown verifier 'oracle'"),
        ({"members": [{"options": {}}]}, "name\n.*Field required"),
        ({"members": [{"name": "lexical", "weight": 2}]}, "weight\n.*Extra inputs are not permitted"),
        ({"members": [{"name": "lexical", "options": {"weight": 2}}]}, "its options: coverage"),
        ({"members": [{"name": "lexical"}], "mode": "majority"}, "valid: cascade, vote"),
        ({"members": [{"name": "lexical"}], "unsure_below": 2}, "from 0 to 1"),
        ({"members": [{"name": "lexical"}], "unsure_below": {"maybe": 0.5}}, "supported, not_supported"),
        ({"members": [{"name": "lexical"}], "weights": [1, 2]}, "weights must be 1 numbers"),
    ],
)
def test_errors_name_what_is_valid(options, message):
    with pytest.raises(ValueError, match=message):
        load_verifier("ensemble", **options)
