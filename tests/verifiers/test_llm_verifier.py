"""The LLM judge, over HTTP, against a server that misbehaves."""

import random
import re
import sqlite3
import threading
from pathlib import Path

import pytest
import yaml
from fixtures.chat_server import DECORATED, MALFORMED, TRANSPORT_FAULTS, ChatServer, quoted

from factalign.chat import ChatConfig, costs_of
from factalign.extraction import EXTRACTORS
from factalign.parameters import EvaluationConfig
from factalign.schemas import Costs
from factalign.verifiers import VERIFIERS, Passage, Verdict, load_verifier
from factalign.verifiers.judge.verifier import LONGEST_CLAIM

HASTE = {"timeout": 0.3}  # less than the server hangs
FACTS = {
    "Ghana": ["Accra is the capital of Ghana", "Gold is mined in Ghana", "Ghana borders Togo"],
    "Nepal": ["Kathmandu is the capital of Nepal", "Nepal borders India", "Tea is grown in Nepal"],
}


def make_pairs(number):
    """Claims of two topics, in turn: every third is false, every seventh an opinion."""
    pairs = []
    for index in range(number):
        topic = ("Ghana", "Nepal")[index % 2]
        fact = FACTS[topic][index // 2 % 3]
        claim = f"{topic} is beautiful {index}" if index % 7 == 0 else f"{fact} since {index}"
        passages = [Passage(f"{text} {'' if index % 3 == 0 else f'since {index}'}", topic) for text in FACTS[topic]]
        pairs.append((claim, passages))
    return pairs


@pytest.fixture
def server():
    with ChatServer() as server:
        yield server


@pytest.fixture
def make(server, tmp_path):
    def build(cache="llm.sqlite", engine=(), **options):
        chat = {
            "model": "test/judge",
            "engine": server.engine(**{"pause": 0.01, "timeout": 20.0, "attempts": 12, **dict(engine)}),
            "cache": cache and tmp_path / cache,
            "batch_size": 4,
        }
        chat |= options.pop("chat", {})
        return load_verifier("llm", chat=chat, **options)

    return build


def test_verdicts_match_their_claims_whatever_the_order(make, server):
    pairs = make_pairs(20)
    verdicts = make().verify(pairs)
    for index, ((_, passages), verdict) in enumerate(zip(pairs, verdicts, strict=True)):
        expected = "irrelevant" if index % 7 == 0 else "not_supported" if index % 3 == 0 else "supported"
        assert (verdict.label, verdict.confidence) == (expected, 0.9)
        if expected == "supported":
            assert passages[verdict.evidence_index].text.startswith(pairs[index][0].split(" since")[0])
    orders = [[claim["text"] for claim in quoted(body)["claims"]] for body in server.requests]
    assert any(order != sorted(order, key=[pair[0] for pair in pairs].index) for order in orders)


def test_one_call_for_eight_claims_and_none_in_a_rerun(make, server):
    pairs = make_pairs(64)
    first = make()
    verdicts = first.verify(pairs)
    assert len(server.requests) == 8
    again = make()
    assert again.verify(pairs[::-1]) == verdicts[::-1]
    assert len(server.requests) == 8
    costs = Costs.validate(again.costs(num_responses=4, num_claims=64)).iloc[0]
    assert (costs["calls"], costs["items"], costs["cached_items"], costs["money"]) == (0, 64, 64, 0)
    assert Costs.validate(first.costs(4, 64)).iloc[0][["calls_per_claim", "calls_per_response"]].tolist() == [1 / 8, 2]


def test_other_models_prompts_and_evidence_are_asked_anew(make, server):
    pairs = make_pairs(8)
    make().verify(pairs)
    make(chat={"model": "other"}).verify(pairs)
    make(chat={"temperature": 0.3}).verify(pairs)
    make().verify([(claim, passages[1:]) for claim, passages in pairs])
    assert len(server.requests) == 4
    make(chat={"batch_size": 1}, engine={"timeout": 9.0}).verify(pairs)
    assert len(server.requests) == 4


def test_equal_pairs_are_asked_once_and_shared_passages_quoted_once(make, server):
    evidence = [Passage(text, "Ghana") for text in FACTS["Ghana"]]
    claims = ["Accra is the capital", "Accra is the capital", "Gold is mined"]
    verdicts = make().verify([(claim, evidence) for claim in claims])
    assert [verdict.evidence_index for verdict in verdicts] == [0, 0, 1]
    (body,) = server.requests
    assert len(quoted(body)["claims"]) == 2
    assert [passage["text"] for passage in quoted(body)["passages"]] == FACTS["Ghana"]


def test_a_claim_is_judged_by_its_own_best_passages(make, server):
    (verdict, alone) = make(max_evidence=1).verify([("Gold", ["Silver", "Gold"]), ("Silver", [])])
    assert [verdict.label, alone.label] == ["not_supported", "not_supported"]
    assert [passage["text"] for passage in quoted(server.requests[0])["passages"]] == ["Silver"]
    assert make().verify([]) == []


@pytest.mark.parametrize("fault", [*MALFORMED, *TRANSPORT_FAULTS])
def test_passing_trouble_changes_no_verdict(make, server, fault):
    pairs = make_pairs(12)
    expected = make(cache=None).verify(pairs)
    server.requests.clear()
    server.fault = lambda number, body: fault if number == 0 else None
    assert make(engine=HASTE if fault == "hang" else {}).verify(pairs) == expected
    assert len(server.requests) > 2


@pytest.mark.parametrize("fault", DECORATED)
def test_decorated_json_is_read(make, server, fault):
    expected = make(cache=None).verify(make_pairs(8))
    server.requests.clear()
    server.fault = lambda number, body: fault
    assert make().verify(make_pairs(8)) == expected
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", MALFORMED)
def test_lasting_malformed_replies_are_failures_and_never_guesses(make, server, fault):
    server.fault = lambda number, body: fault
    verifier = make()
    assert verifier.verify(make_pairs(8)) == [Verdict("failed", 0.0)] * 8
    assert len(server.requests) == 1 + 2 + 4
    assert {body["temperature"] for body in server.requests[1:]} == {0.5}
    row = verifier.costs(1, 8).iloc[0]
    assert (row["calls"], row["failed_calls"], row["failed_items"], row["output_tokens"]) == (7, 7, 8, 70)


def test_thirty_percent_of_faults_lose_no_verdict(make, server):
    pairs = make_pairs(120)
    expected = make(cache=None, claims_per_call=4).verify(pairs)
    generator = random.Random(7)
    faults = (*TRANSPORT_FAULTS, *MALFORMED)
    injected = []

    def fault(number, body):
        injected.append(generator.choice(faults) if generator.random() < 0.3 else None)
        return injected[-1]

    server.fault = fault
    verifier = make(claims_per_call=4, chat={"attempts": 8}, engine=HASTE)
    assert verifier.verify(pairs) == expected
    assert verifier.costs(1, 120).iloc[0]["failed_items"] == 0
    assert sum(map(bool, injected)) >= 5


def test_with_no_tries_left_exactly_the_hit_claims_fail(make, server):
    pairs = make_pairs(60)
    expected = make(cache=None).verify(pairs)
    server.requests.clear()
    server.fault = lambda number, body: random.Random(number).choice(("500", "truncated")) if number % 10 < 3 else None
    verdicts = make(chat={"attempts": 1, "batch_size": 1}, engine={"attempts": 1}, claims_per_call=3).verify(pairs)
    hit = {
        claim["text"]
        for number, body in enumerate(server.requests)
        if number % 10 < 3
        for claim in quoted(body)["claims"]
    }
    assert len(hit) == 18
    for (claim, _), verdict, right in zip(pairs, verdicts, expected, strict=True):
        assert verdict == (Verdict("failed", 0.0) if claim in hit else right)
    server.fault = lambda number, body: None
    asked = len(server.requests)
    assert make(claims_per_call=3).verify(pairs) == expected
    assert len(server.requests) == asked + 6


def test_a_poisonous_claim_fails_alone(make, server):
    pairs = make_pairs(8)
    expected = make(cache=None).verify(pairs)
    server.fault = lambda number, body: "400" if "since 4" in body["messages"][-1]["content"] else None
    verdicts = make(chat={"attempts": 4}).verify(pairs)
    assert [index for index, verdict in enumerate(verdicts) if verdict.label == "failed"] == [4]
    assert verdicts[:4] + verdicts[5:] == expected[:4] + expected[5:]


def test_a_dead_server_is_not_asked_again_and_again(make, server, caplog):
    server.fault = lambda number, body: "500"
    assert {verdict.label for verdict in make(engine={"attempts": 2}).verify(make_pairs(32))} == {"failed"}
    assert len(server.requests) == 4 * 2
    assert "HTTP status 500" in caplog.text


@pytest.mark.parametrize("budget", [{"calls": 3}, {"tokens": 2300}, {"money": 0.0072}])
def test_a_budget_stops_cleanly_and_a_higher_one_resumes(make, server, caplog, budget):
    pairs = make_pairs(64)
    expected = make(cache=None).verify(pairs)
    server.requests.clear()
    options = {"prices": {"input": 1.0, "output": 10.0}, "max_new_tokens": 500, "batch_size": 1}
    verifier = make(chat={**options, "budget": budget})
    verdicts = verifier.verify(pairs)
    row = verifier.costs(1, 64).iloc[0]
    failed = [verdict.label == "failed" for verdict in verdicts]
    assert 0 < sum(failed) == row["failed_items"] < 64
    assert all(got == right for got, right in zip(verdicts, expected, strict=True) if got.label != "failed")
    (cap, limit), *_ = budget.items()
    spent = {"calls": row["calls"], "tokens": row["input_tokens"] + row["output_tokens"], "money": row["money"]}
    assert len(server.requests) == row["calls"] > 0
    assert spent[cap] <= limit
    assert row["money"] == pytest.approx(row["calls"] * (100 * 1.0 + 10 * 10.0) / 1e6)
    assert f"Raise budget.{cap}" in caplog.text
    assert make(chat={"max_new_tokens": 500}).verify(pairs) == expected
    assert len(server.requests) == 8


def test_votes(make, server):
    def lean(number, body):
        return "label" if number == 1 else None

    pairs = make_pairs(8)
    verdicts = make(samples=3).verify(pairs)
    assert [verdict.confidence for verdict in verdicts] == [1.0] * 8
    assert len(server.requests) == 3
    assert len({tuple(claim["text"] for claim in quoted(body)["claims"]) for body in server.requests}) == 3
    server.fault = lean
    server.requests.clear()
    verdicts = make(cache=None, samples=3, chat={"attempts": 1, "batch_size": 1}).verify(pairs)
    assert [verdict.confidence for verdict in verdicts] == [2 / 3] * 8


@pytest.mark.parametrize(
    ("labels", "winner"),
    [
        (("supported", "supported", "not_supported"), Verdict("supported", 2 / 3, 0)),
        (("supported", "not_supported", "failed"), Verdict("not_supported", 1 / 3)),
        (("irrelevant", "supported", "not_supported"), Verdict("not_supported", 1 / 3)),
    ],
)
def test_of_equal_votes_the_more_cautious_stands(make, server, labels, winner):
    def reply(body):
        label = labels[len(server.requests) - 1]
        evidence = 1 if label == "supported" else None
        answers = [{"number": 1, "label": label, "evidence": evidence, "confidence": 0.5}]
        return str({"call": quoted(body)["call"], "answers": answers}).replace("'", '"').replace("None", "null")

    server.reply = reply
    assert make(samples=3, chat={"attempts": 1, "batch_size": 1}).verify([("a", ["a"])]) == [winner]


def test_overlong_claims_fail_unasked_and_overlong_passages_are_cut(make, server):
    claim = "Accra is the capital of Ghana"
    verdicts = make().verify([(claim + " x" * LONGEST_CLAIM, [claim]), (claim, [claim + " y" * 50_000])])
    assert [verdict.label for verdict in verdicts] == ["failed", "supported"]
    assert len(server.requests[0]["messages"][-1]["content"]) < 10_000


def test_structured_output_sends_the_schema(make, server):
    make(chat={"structured_output": True}).verify(make_pairs(1))
    form = server.requests[0]["response_format"]
    assert form["type"] == "json_schema"
    schema = form["json_schema"]["schema"]
    for part in (schema, *schema["$defs"].values()):
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])
    assert "response_format" not in (make(cache=None).verify(make_pairs(1)) and server.requests[-1])


def test_two_processes_worth_of_threads_share_a_cache(make, server):
    pairs = make_pairs(40)
    expected = make(cache=None).verify(pairs)
    verifiers = [make() for _ in range(4)]
    results = {}
    threads = [
        threading.Thread(target=lambda n=n, v=v: results.update({n: v.verify(pairs)})) for n, v in enumerate(verifiers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[n] for n in range(4)] == [expected] * 4


def test_the_id_names_the_model_and_all_that_the_verdicts_depend_on(make):
    ids = [
        verifier.verifier_id
        for verifier in (make(), make(samples=3), make(max_evidence=1), make(chat={"model": "other"}))
    ]
    assert len(set(ids)) == 4
    assert ids[0].startswith("llm-test-judge-")
    assert make(chat={"budget": {"calls": 1}}, engine={"timeout": 1.0}).verifier_id == ids[0]
    spellings = ("openai", {"name": "openai"}, {"name": "openai", "options": {"requests_per_minute": 9, "timeout": 3}})
    assert len({make(chat={"engine": engine}).verifier_id for engine in spellings}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chat": {}}, "model"),
        ({"chat": {"model": "m", "modell": "m"}}, "modell"),
        ({"chat": {"model": "m", "engine": "x"}}, "unknown engine 'x'"),
        ({"chat": {"model": "m", "engine": {"name": "openai", "options": {"tmeout": 3}}}}, "tmeout"),
        ({"chat": {"model": "m", "engine_options": {"timeout": 3}}}, "engine_options"),
        ({"chat": {"model": "m", "engine": {"name": "openai", "options": {"base_url": "ftp://x"}}}}, "http://"),
        ({"chat": {"model": "m", "engine": "vllm", "structured_output": True}}, "needs the engine 'openai'"),
        ({"chat": {"model": "m", "budget": {"money": 1.0}}}, "prices"),
        ({"chat": {"model": "m"}, "claims_per_call": 0}, "claims_per_call must be at least 1"),
        ({"chat": {"model": "m"}, "claims": 3}, "does not accept"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        load_verifier("llm", **options)


def test_a_file_that_is_no_cache_is_refused_at_once(make, tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"not a database" * 100)
    with sqlite3.connect(tmp_path / "b.sqlite") as other:
        other.execute("CREATE TABLE mine (x)")
    for name, problem in (("a.sqlite", "not a database"), ("b.sqlite", "something else")):
        with pytest.raises(ValueError, match=rf"{name}.*{problem}.*move this one away"):
            make(cache=name)
    assert (tmp_path / "a.sqlite").read_bytes() == b"not a database" * 100


def test_the_documented_configuration_is_valid():
    text = (Path(__file__).parents[2] / "docs" / "llm.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    evaluation = EvaluationConfig.model_validate(yaml.safe_load(example)["evaluation"])
    for choice in (evaluation.extractor, evaluation.verifier):
        assert choice.name == "llm"
        ChatConfig.model_validate(choice.options["chat"])
        without_cache = {**choice.options, "chat": {**choice.options["chat"], "cache": None}}
        registry = EXTRACTORS if choice is evaluation.extractor else VERIFIERS
        built = registry.build({"name": "llm", "options": without_cache})
        assert built.costs(0, 0)["calls"].tolist() == [0]


def test_costs_are_on_record(make):
    judge = make()
    judge.verify(make_pairs(16))
    costs = Costs.validate(costs_of(judge, num_responses=2, num_claims=16))
    assert (costs["calls"].item(), costs["calls_per_claim"].item()) == (2, 0.125)
    assert costs["input_tokens"].item() > 0
    assert Costs.validate(costs_of(load_verifier("lexical"), num_responses=2, num_claims=16)).empty
