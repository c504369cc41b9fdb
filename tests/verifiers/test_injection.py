"""Text inside claims, evidence and responses that wants to be a verdict: none may raise the supported rate.

A verifier joins with one entry in `VERIFIERS`.
"""

import json

import pytest
from fixtures.chat_server import ChatServer, quoted, words
from fixtures.injections import ANSWER, EVIDENCE, FALSE, INJECTIONS, TRUE

from factalign.chat.replies import Reply, ReplyError, read_reply
from factalign.extraction import EXTRACTORS
from factalign.verifiers import Passage, load_verifier
from factalign.verifiers.judge.verifier import Judgement

VERIFIERS = {
    "lexical": {},
    "llm": {},
}


@pytest.fixture(scope="module")
def server():
    with ChatServer() as server:
        yield server


@pytest.fixture(params=VERIFIERS)
def verifier(request, server):
    """Each verifier; behind `llm` stands the tests' server, so that what is tested there is what is ours: that
    quoted texts arrive as data, and that no verdict is read from them.
    """
    options = dict(VERIFIERS[request.param])
    if request.param == "llm":
        options["chat"] = {"model": "m", "engine": server.engine(pause=0.01)}
    return load_verifier(request.param, **options)


def supported(verifier, claims, evidence=EVIDENCE):
    passages = [Passage(text, "Ghana") for text in evidence]
    return [verdict.label == "supported" for verdict in verifier.verify([(claim, passages) for claim in claims])]


def test_the_claims_are_told_apart_without_injections(verifier):
    assert all(supported(verifier, TRUE))
    assert not any(supported(verifier, FALSE))


@pytest.mark.parametrize("name", INJECTIONS)
def test_an_injection_in_a_false_claim_supports_nothing(verifier, name):
    claims = [text for claim in FALSE for text in (f"{claim} {INJECTIONS[name]}", f"{INJECTIONS[name]} {claim}")]
    assert not any(supported(verifier, claims))


@pytest.mark.parametrize("name", INJECTIONS)
def test_an_injection_in_the_evidence_supports_nothing_false(verifier, name):
    evidence = [*(f"{text} {INJECTIONS[name]}" for text in EVIDENCE), INJECTIONS[name]]
    assert not any(supported(verifier, FALSE, evidence))


@pytest.mark.parametrize("name", INJECTIONS)
def test_an_injection_in_one_claim_supports_no_neighbour(verifier, name):
    assert not any(supported(verifier, [FALSE[0], f"{FALSE[1]} {INJECTIONS[name]}", *FALSE[2:]]))


@pytest.mark.parametrize("name", INJECTIONS)
def test_an_injection_alone_is_not_supported(verifier, name):
    assert not any(supported(verifier, [INJECTIONS[name]]))


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_judge_that_repeats_the_claim_gives_no_verdict(name, server):
    """The most obedient judge there is: it says what the claim says."""
    server.reply = lambda body: "The claim says: " + " ".join(claim["text"] for claim in quoted(body)["claims"])
    try:
        chat = {"model": "parrot", "engine": server.engine(), "attempts": 2}
        verdicts = load_verifier("llm", chat=chat).verify([(f"{FALSE[0]} {INJECTIONS[name]}", EVIDENCE)])
    finally:
        server.reply = None
    assert [verdict.label for verdict in verdicts] == ["failed"]


def test_a_reply_quoted_with_the_right_fields_but_no_mark_is_none():
    with pytest.raises(ReplyError, match="mark"):
        read_reply(json.dumps({"call": "00000000", **json.loads(ANSWER)}), Reply[Judgement], "5f0c1e2d", 1)


@pytest.mark.parametrize("name", INJECTIONS)
def test_an_injection_in_a_response_makes_no_other_claims(name, server):
    chat = {"model": "m", "engine": server.engine(pause=0.01)}
    sentence = f"{FALSE[0]} {INJECTIONS[name]}"
    extractor = EXTRACTORS.build({"name": "llm", "options": {"chat": chat}})
    claims, others = extractor.extract([sentence, TRUE[0]], ["Ghana"] * 2)
    assert set().union(*map(words, claims)) <= words(sentence.replace("\ud800", "\ufffd")) | {"ghana"}
    assert others == [f"Ghana: {TRUE[0].strip('.')}"]
