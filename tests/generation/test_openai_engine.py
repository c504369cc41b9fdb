"""Against a real local server that misbehaves."""

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from factalign.generation import ENGINES, EngineError, Generation, Sampling
from factalign.generation.engines import stream

HANDLE = {"policy_id": "p", "model": "served", "adapters": []}


def completion(text="Hi.", reason="stop", tokens=2, **usage):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return json.dumps({"choices": [choice], "usage": {"completion_tokens": tokens, **usage}}).encode()


@pytest.fixture
def server():
    """`server.script` holds (status, headers, body or seconds to hang) for the next requests; then "Hi."."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.seen.append((self.path, dict(self.headers), body))
            service.times.append(time.monotonic())
            status, headers, reply = service.script.popleft() if service.script else (200, {}, completion())
            if isinstance(reply, float):
                time.sleep(reply)
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for part in reply if isinstance(reply, list) else [reply]:
                self.wfile.write(part)
                self.wfile.flush()
                time.sleep(0.05 if isinstance(reply, list) else 0)

        def do_GET(self):
            service.seen.append((self.path, dict(self.headers), None))

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 64

    service = Server(("127.0.0.1", 0), Handler)
    service.script, service.seen, service.times = deque(), [], []
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield service
    service.shutdown()
    service.server_close()


@pytest.fixture
def engine(server):
    def build(**options):
        options = {
            "base_url": f"http://127.0.0.1:{server.server_port}/v1",
            "pause": 0.01,
            "timeout": 5.0,
        } | options
        return build_engine(**options)

    return build


def build_engine(handle=HANDLE, **options):
    return ENGINES.build({"name": "openai", "options": options}, handle=handle)


def ask(engine, texts=("Hello",), **sampling):
    return engine.generate([[{"role": "user", "content": text}] for text in texts], Sampling(**sampling))


def test_requests_carry_the_parameters_and_answers_keep_their_order(server, engine, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    server.script.extend((200, {}, completion(f"answer {index}", "length", index)) for index in range(4))
    answers = ask(
        engine(api_key_env="MY_KEY"),
        ("a", "b 🇦🇹"),
        samples=2,
        max_new_tokens=9,
        temperature=0.5,
        top_k=7,
        top_p=0.9,
        seed=40,
        batch_size=1,
    )
    assert answers == [
        [Generation("answer 0", "length", 0), Generation("answer 1", "length", 1)],
        [Generation("answer 2", "length", 2), Generation("answer 3", "length", 3)],
    ]
    path, headers, body = server.seen[2]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert body == {
        "model": "served",
        "messages": [{"role": "user", "content": "b 🇦🇹"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "seed": 42,
    }
    ask(engine(), top_k=0)
    assert "top_k" not in server.seen[-1][2]


def test_many_requests_at_once(engine):
    assert len(ask(engine(), ["x"] * 20, samples=2, batch_size=8)) == 20
    assert ask(engine(), []) == []


@pytest.mark.parametrize(
    "trouble",
    [
        (429, {"Retry-After": "0.05"}, b"slow down"),
        (500, {}, b"oops"),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b""),
        (200, {}, b'{"choices": [{"mess'),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"choices": [{"message": {"content": "no usage"}, "finish_reason": "stop"}]}'),
        (500, {"Content-Length": "999"}, b"cut off"),
        (503, {"Retry-After": "nan"}, b""),
        (200, {}, b"[]"),
        (200, {}, b'{"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": []}'),
        (200, {}, [b" "] * 30),
        (200, {"Content-Length": "999"}, b"{}"),
        (200, {}, 1.0),
    ],
)
def test_passing_trouble_is_tried_again(server, engine, trouble):
    server.script.append(trouble)
    slow = isinstance(trouble[2], float | list)
    assert ask(engine(timeout=0.5 if slow else 20.0)) == [[Generation("Hi.", "stop", 2)]]
    assert len(server.seen) == 2


def test_lasting_trouble_is_an_error_that_quotes_the_last_answer(server, engine):
    server.script.extend([(500, {}, b"still broken")] * 3)
    with pytest.raises(EngineError, match=r"3 tries.*still broken"):
        ask(engine(attempts=3))
    assert len(server.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_not_tried_again_and_hides_the_key(server, engine, monkeypatch, status):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server.script.append((status, {}, b"unknown parameter: top_k; your key is secret"))
    with pytest.raises(EngineError, match=f"{status}: unknown parameter: top_k") as caught:
        ask(engine(), top_k=5)
    assert "secret" not in str(caught.value)
    assert len(server.seen) == 1


def test_a_key_is_sent_without_the_space_around_it_and_never_quoted(server, engine, monkeypatch):
    monkeypatch.setenv("MY_KEY", " secret\n")
    ask(engine(api_key_env="MY_KEY"))
    assert server.seen[0][1]["Authorization"] == "Bearer secret"
    monkeypatch.setenv("MY_KEY", "sec\nret")
    with pytest.raises(ValueError, match="environment variable MY_KEY") as caught:
        engine(api_key_env="MY_KEY")
    assert "ret" not in str(caught.value)


def test_redirects_are_not_followed(server, engine):
    server.script.append((302, {"Location": f"http://127.0.0.1:{server.server_port}/elsewhere"}, b""))
    with pytest.raises(EngineError, match="302"):
        ask(engine())
    assert len(server.seen) == 1


def test_an_empty_answer_is_an_answer(server, engine):
    server.script.append((200, {}, completion(None)))
    assert ask(engine())[0][0].text == ""


def test_nobody_listens():
    engine = build_engine(base_url="http://127.0.0.1:9/v1", attempts=2, pause=0.01)
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9"):
        ask(engine)


def test_options_are_checked():
    with pytest.raises(ValueError, match="http://"):
        build_engine(base_url="file:///etc/passwd")
    with pytest.raises(ValueError, match="adapters"):
        build_engine(HANDLE | {"adapters": ["a"]})


def test_a_stream_yields_every_answer_and_what_fails_fails_alone(server, engine):
    server.script.extend(
        [(200, {}, completion("good", prompt_tokens=5)), (400, {}, b"too long"), (200, {}, completion("too"))]
    )
    conversations = [[{"role": "user", "content": text}] for text in "abc"]
    form = {"type": "json_object"}
    answers = dict(
        stream(engine(), conversations, [7, 1, 9], Sampling(batch_size=1, max_new_tokens=4, response_format=form))
    )
    assert answers[0] == Generation("good", "stop", 2, prompt_tokens=5)
    assert isinstance(answers[1], EngineError)
    assert "too long" in str(answers[1])
    assert answers[2].text == "too"
    assert [body["seed"] for *_, body in server.seen] == [7, 1, 9]
    assert server.seen[0][2]["response_format"] == form


def test_the_stream_of_an_engine_that_works_in_batches_fails_one_by_one(tiny_handle):
    engine = ENGINES.build({"name": "transformers", "options": {"dtype": "float32"}}, handle=tiny_handle)
    conversations = [[{"role": "user", "content": text}] for text in ("a", "b" * 2000, "c")]
    answers = dict(stream(engine, conversations, [1, 2, 3], Sampling(batch_size=8, max_new_tokens=3)))
    assert isinstance(answers[1], EngineError)
    assert "context" in str(answers[1])
    for index in (0, 2):
        assert answers[index].prompt_tokens == len(engine._encode(conversations[index])) > 0


def test_fields_of_the_body_are_added_and_taken_out(server, engine):
    ask(engine(body={"max_tokens": None, "max_completion_tokens": 9}))
    assert server.seen[0][2]["max_completion_tokens"] == 9
    assert "max_tokens" not in server.seen[0][2]


def test_requests_keep_their_rate_and_a_429_holds_all_of_them(server, engine):
    ask(engine(requests_per_minute=1200), ["x"] * 4, batch_size=4)
    assert server.times[-1] - server.times[0] >= 3 * 0.05 * 0.8
    server.times.clear()
    server.script.append((429, {"Retry-After": "0.3"}, b""))
    ask(engine(), ["x"] * 3, batch_size=1)
    assert server.times[1] - server.times[0] >= 0.3 * 0.8
    with pytest.raises(ValueError, match="requests_per_minute"):
        engine(requests_per_minute=0)
