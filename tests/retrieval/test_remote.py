"""Against a real local server that misbehaves."""

import json
import logging
import threading
import time
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from factalign.base import http as base_http
from factalign.base.http import FetchError
from factalign.base.text import with_topic
from factalign.evaluation import retrieve_evidence, verify_claims
from factalign.retrieval import RETRIEVERS, open_retriever
from factalign.schemas import Evidence, Verdicts
from factalign.verifiers import load_verifier

KEY = "key-0123456789"
SNIPPETS = {
    "answerBox": {"title": "Capital of Ghana", "answer": "Accra"},
    "knowledgeGraph": {
        "title": "Ghana",
        "type": "Country",
        "description": "Ghana is a country in West Africa.",
        "attributes": {"Population": "33 million"},
    },
    "organic": [
        {"title": "Accra - Wikipedia", "link": "https://x", "snippet": "Accra is the capital.", "position": 1},
        {"title": "No snippet", "link": "https://y"},
        {"title": "Kumasi", "snippet": "Kumasi is a city.", "position": 2},
    ],
}


@pytest.fixture
def server():
    """`server.script` maps a query to what its next requests see: status or None, headers, body or seconds to hang."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            fields = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            self.answer(fields, fields.get("query", ""), {"topk": [{"text": f"About {fields.get('query')}."}]})

        def do_POST(self):
            fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(fields, fields["q"], SNIPPETS)

        def answer(self, fields, query, usual):
            service.seen.append((self.path, fields, dict(self.headers)))
            usual = (200, {}, json.dumps(usual).encode())
            status, headers, body = service.script[query].pop(0) if service.script.get(query) else usual
            if status is not None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
            if isinstance(body, float):
                time.sleep(body)
            else:
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.script, service.seen = {}, []
    service.url = f"http://127.0.0.1:{service.server_port}/api/search"
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield service
    service.shutdown()
    service.server_close()


def build(name, **options):
    return RETRIEVERS.build({"name": name, "options": options})


@pytest.fixture
def http(server):
    return lambda **options: build("http", **{"url": server.url, "pause": 0.01, "timeout": 5.0} | options)


@pytest.fixture
def web(server, monkeypatch):
    monkeypatch.setenv("SERPER_API_KEY", KEY)
    return lambda **options: build("web", **{"url": server.url, "pause": 0.01, "timeout": 5.0} | options)


def topk(*passages):
    return 200, {}, json.dumps({"topk": passages}).encode()


def test_passages_of_a_colbert_server(server, http):
    server.script["Ghana: Is Accra the capital?"] = [
        topk(
            {"text": "Accra is the capital.", "pid": 7, "score": 21.5, "title": "Accra"},
            {"text": "Kumasi \ud83c", "rank": 2, "score": 3},
            {"text": "Accra is the capital.", "score": 2, "title": "Accra"},
            {"text": " "},
            {"text": "third"},
            {"text": "fourth"},
        )
    ]
    (hits,) = http().search(["Is Accra the capital?"], ["Ghana"], 3)
    assert [(hit.title, hit.text, hit.score) for hit in hits] == [
        ("Accra", "Accra is the capital.", 21.5),
        ("", "Kumasi \ufffd", 3),
        ("", "third", 1 / 3),
    ]
    assert len({hit.passage_id for hit in hits}) == 3
    assert server.seen[0][1] == {"query": "Ghana: Is Accra the capital?", "k": "3"}


def test_a_topic_is_named_once_and_equal_queries_are_asked_once(server, http):
    queries = ["GHANA exports gold", "It exports gold", "It exports gold", " ", "Mali & Co"]
    found = http(url=server.url + "?index=wiki").search(queries, ["Ghana", "Ghana", "Ghana", None, ""], 5)
    assert [[hit.text for hit in hits] for hits in found] == [
        ["About GHANA exports gold."],
        ["About Ghana: It exports gold."],
        ["About Ghana: It exports gold."],
        [],
        ["About Mali & Co."],
    ]
    assert len(server.seen) == 3
    assert all(fields["index"] == "wiki" for _, fields, _ in server.seen)


def test_a_topic_is_named_by_the_rule_of_claims(http):
    query, topic = "Gambia borders Senegal", "The Gambia"
    assert with_topic(query, topic) == query
    assert http().search([query], [topic], 1)[0][0].text == f"About {query}."


def test_many_at_once_keep_their_order(http):
    queries = [f"query {number}" for number in range(60)]
    found = http(concurrency=6).search(queries, [None] * 60, 2)
    assert [hits[0].text for hits in found] == [f"About {query}." for query in queries]
    assert http().search([], [], 2) == []


@pytest.mark.parametrize(
    "trouble",
    [
        (429, {"Retry-After": "0.05"}, b"slow down"),
        (500, {}, b"oops"),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b""),
        (None, {}, 0.4),
        (200, {"Content-Length": "9"}, 0.4),
        (500, {"Content-Length": "9"}, 0.4),
        (200, {}, b'{"topk": [{"te'),
        (200, {"Content-Length": "999"}, b'{"topk": []}'),
        (200, {}, b"[" * 100_000),
        (200, {}, b"\xff\xfe"),
        (200, {}, b"[]"),
        (200, {}, b'{"results": []}'),
        (200, {}, b'{"topk": {"text": "a"}}'),
        topk("text"),
        topk({"text": None}),
        topk({"text": "a", "score": "high"}),
        topk({"text": "a", "score": float("nan")}),
        topk({"text": "a", "score": 10**400}),
        topk({"text": "a", "title": ["b"]}),
    ],
)
def test_passing_trouble_is_tried_again(server, http, trouble):
    server.script["gold"] = [trouble]
    (hits,) = http(timeout=0.2).search(["gold"], [None], 2)
    assert [hit.text for hit in hits] == ["About gold."]
    assert len(server.seen) == 2


def test_a_query_that_fails_gets_its_error_and_is_counted(server, http, caplog):
    server.script["bad"] = [(500, {}, b"still broken")] * 2
    with caplog.at_level(logging.WARNING):
        found = http(attempts=2).search(["bad", "good", "bad", "fine"], [None] * 4, 2)
    assert [isinstance(each, FetchError) or len(each) for each in found] == [True, 1, True, 1]
    assert str(found[0]).endswith("HTTP status 500: still broken")
    assert "1 of 3 queries failed" in caplog.text
    assert "/api/search gave no usable answer in 2 tries; the last: HTTP status 500: still broken" in caplog.text


def test_when_nothing_is_answered_the_rest_is_not_tried(server, http):
    queries = [f"query {number}" for number in range(50)]
    server.script = {query: [(404, {}, b"no such page")] for query in queries}
    with pytest.raises(FetchError, match=r"no query was answered.*/api/search refused .*404: no such page"):
        http(concurrency=4).search(queries, [None] * 50, 2)
    assert len(server.seen) == 4


def test_more_failures_than_answers_end_the_search(server, http):
    server.script = {f"bad {number}": [(404, {}, b"gone")] for number in range(3)}
    with pytest.raises(FetchError, match=r"3 of 5 queries failed; the last: .*/api/search refused .*404: gone"):
        http().search(["good", *server.script, "fine"], [None] * 5, 2)


def test_a_claim_whose_query_fails_has_no_verdict(server, http, caplog):
    claims = pd.DataFrame({"claim_id": ["c0", "c1"], "text": ["Accra is the capital.", "Gold is mined."]})
    responses = pd.DataFrame({"response_id": ["r"], "prompt_id": ["p"]})
    prompts = pd.DataFrame({"prompt_id": ["p"], "topic": [""]})
    server.script["Gold is mined."] = [(404, {}, b"gone")]
    evidence, found = retrieve_evidence(claims.assign(response_id="r"), responses, prompts, http(), 2)
    assert Evidence.validate(evidence)["passage_id"].isna().tolist() == [False, True]
    assert "the evidence of claim 'Gold is mined.' could not be looked up: " in caplog.text
    assert "404: gone" in caplog.text
    verdicts = Verdicts.validate(verify_claims(claims, evidence, found, load_verifier("lexical")))
    assert dict(zip(verdicts["claim_id"], verdicts["label"], strict=True)) == {"c0": "supported", "c1": "failed"}


def test_fused_hits_are_those_of_all_retrievers_or_a_failure(server):
    part = {"name": "http", "options": {"url": server.url}}
    server.script["bad"] = [(404, {}, b"gone")]
    bad, good = build("hybrid", retrievers=[part, part]).search(["bad", "good"], [None, None], 2)
    assert isinstance(bad, FetchError)
    assert [hit.text for hit in good] == ["About good."]


def test_nobody_listens():
    with pytest.raises(FetchError, match=r"http://127\.0\.0\.1:9/x gave no usable answer in 2 tries"):
        build("http", url="http://127.0.0.1:9/x", attempts=2, pause=0.01).search(["a"], [None], 1)


def test_an_answer_that_drips_in_is_given_up(server, http):
    class Slow(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):
                for _ in range(50):
                    self.wfile.write(b" ")
                    time.sleep(0.05)

        def log_message(self, *args):
            pass

    server.RequestHandlerClass = Slow
    with pytest.raises(FetchError, match="the answer came too slowly"):
        http(attempts=1, timeout=0.3).search(["a"], [None], 1)


def test_an_answer_that_does_not_end_is_given_up(server, http, monkeypatch):
    monkeypatch.setattr(base_http, "_LARGEST_REPLY", 1000)
    server.script["a"] = [(200, {}, b" " * 2000)]
    with pytest.raises(FetchError, match="the answer is longer than 1000 bytes"):
        http(attempts=1).search(["a"], [None], 1)


def test_connections_are_kept_open_between_requests(server, http):
    clients = []

    class Polite(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            clients.append(self.client_address)
            self.send_response(503 if len(clients) == 2 else 200)
            body = b'{"topk": [{"text": "a"}]}'
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server.RequestHandlerClass = Polite
    for _ in range(2):
        assert len(http(concurrency=1).search(["a", "b", "c"], [None] * 3, 1)) == 3
    assert len(clients) == 7
    assert len(set(clients)) == 1


def test_the_proxy_of_the_environment_is_asked(server, http, monkeypatch):
    monkeypatch.setenv("http_proxy", f"me:p%40ss@127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (hits,) = http(url="http://passages.invalid/search").search(["gold"], [None], 1)
    assert [hit.text for hit in hits] == ["About gold."]
    path, _, headers = server.seen[0]
    assert path == "http://passages.invalid/search?query=gold&k=1"
    assert headers["proxy-authorization"] == f"Basic {b64encode(b'me:p@ss').decode()}"
    http().search(["gold"], [None], 1)
    assert server.seen[1][0].startswith("/api/search?")


def test_the_web_gives_answer_graph_and_snippets(server, web):
    (hits,) = web(concurrency=1).search(["Accra is the capital"], ["Ghana"], 10)
    assert [(hit.title, hit.text) for hit in hits] == [
        ("Capital of Ghana", "Accra"),
        ("Ghana", "Country; Ghana is a country in West Africa.; Population: 33 million"),
        ("Accra - Wikipedia", "Accra is the capital."),
        ("Kumasi", "Kumasi is a city."),
    ]
    assert [hit.score for hit in hits] == [1, 1 / 2, 1 / 3, 1 / 4]
    path, fields, headers = server.seen[0]
    assert (path, fields) == ("/api/search", {"q": "Ghana: Accra is the capital", "num": 10})
    assert {name.lower(): value for name, value in headers.items()}["x-api-key"] == KEY
    assert len(web().search(["b"], [None], 2)[0]) == 2


@pytest.mark.parametrize(
    "reply",
    [[], {"organic": {}}, {"answerBox": "Accra"}, {"organic": ["text"]}, {"organic": [{"snippet": ["a"]}]}],
)
def test_what_is_no_search_result_is_tried_again(server, web, reply):
    server.script["a"] = [(200, {}, json.dumps(reply).encode())]
    assert len(web().search(["a"], [None], 9)[0]) == 4
    assert len(server.seen) == 2


def test_an_empty_search_result_is_an_answer(server, web):
    server.script["a"] = [(200, {}, b'{"organic": [], "knowledgeGraph": null}')]
    assert web().search(["a"], [None], 9) == [[]]


@pytest.mark.parametrize("status", [403, 500])
def test_the_key_is_in_no_message(server, web, caplog, status):
    server.script = {"a": [(status, {}, f"bad key {KEY}".encode())] * 2}
    with caplog.at_level(logging.DEBUG), pytest.raises(FetchError, match=rf"{status}: bad key \*\*\*") as caught:
        web(attempts=2).search(["a"], [None], 1)
    # Once as if it were a result that is cut amid the key where it is quoted.
    for last in ((status, {}, f"bad key {KEY}".encode()), (200, {}, b"[" + b" " * 190 + KEY.encode())):
        server.script = {"a": [last] * 2}
        with caplog.at_level(logging.DEBUG):
            web(attempts=2).search(["a", "b"], [None, None], 1)
    assert caplog.text.count("1 of 2 queries failed") == 2
    assert KEY[:5] not in caplog.text
    assert KEY not in caplog.text + str(caught.value) + repr(caught.value.__cause__)


def test_redirects_are_not_followed(server, web):
    server.script["a"] = [(302, {"Location": server.url + "/elsewhere"}, b"")]
    with pytest.raises(FetchError, match="refused a request with HTTP status 302"):
        web().search(["a"], [None], 1)
    assert len(server.seen) == 1


def test_options_are_checked(monkeypatch):
    with pytest.raises(ValueError, match="http://"):
        build("http", url="file:///etc/passwd")
    with pytest.raises(ValueError, match="its options: url, timeout, attempts, pause, concurrency"):
        build("http", url="http://x", tmeout=3)
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ValueError, match="environment variable MY_KEY"):
        build("web", api_key_env="MY_KEY")
    monkeypatch.setenv("MY_KEY", "two\nlines")
    with pytest.raises(ValueError, match="environment variable MY_KEY") as caught:
        build("web", api_key_env="MY_KEY")
    assert "lines" not in str(caught.value)
    with pytest.raises(ValueError, match="k must be at least 1"):
        build("http", url="http://x").search(["a"], [None], 0)


def test_nothing_is_indexed(http, tmp_path):
    empty = pd.DataFrame(columns=["passage_id", "title", "text"])
    http().build(empty, tmp_path / "index")
    retriever = open_retriever({"name": "http", "options": {"url": "http://x"}}, tmp_path / "index")
    assert isinstance(retriever.search([], [], 1), list)
    assert not list((tmp_path / "index").iterdir())
