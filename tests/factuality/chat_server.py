"""A real OpenAI-compatible server with a simple, deterministic model behind it, which misbehaves on demand."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TRANSPORT_FAULTS = ("429", "500", "hang", "cut off", "not json", "closed")
MALFORMED = (
    "truncated", "schema", "label", "confidence", "string number", "refusal", "empty", "missing", "extra", "twice",
    "mark", "two answers", "wrong passage",
)  # fmt: skip
DECORATED = ("prose", "fence", "think")
HANG = 0.6


def quoted(body):
    """The data that a request quotes."""
    return json.loads(re.fullmatch(r"<data>\n(.*)\n</data>", body["messages"][-1]["content"], re.DOTALL)[1])


def words(text):
    return set(re.findall(r"\w+", text.lower()))


def judge(claim, passages):
    """A claim is supported by the first of its passages that has all its words."""
    deciding = [number for number in claim["evidence"] if set() < words(claim["text"]) <= words(passages[number])]
    opinion = "beautiful" in words(claim["text"])
    label = "irrelevant" if opinion else "supported" if deciding else "not_supported"
    evidence = deciding[0] if label == "supported" else None
    return {"number": claim["number"], "label": label, "evidence": evidence, "confidence": 0.9}


def decompose(sentence, topic):
    """A claim for each part between "and"s, about the topic."""
    parts = [part.strip(" .") for part in sentence["text"].split(" and ")]
    claims = [{"text": f"{topic}: {part}", "checkable": "beautiful" not in part} for part in parts if part]
    return {"number": sentence["number"], "claims": claims}


def answer(data):
    """What the model says."""
    if "claims" in data:
        passages = {one["number"]: one["text"] for one in data["passages"]}
        answers = [judge(claim, passages) for claim in data["claims"]]
    else:
        answers = [decompose(sentence, data["topic"]) for sentence in data["sentences"]]
    return {"call": data["call"], "answers": answers}


def spoil(reply, fault):
    """The text of `reply`, malformed or decorated as `fault` says."""
    answers = reply["answers"]
    text = json.dumps(reply)
    changes = {
        "schema": {"call": reply["call"], "verdicts": answers},
        "label": {**reply, "answers": [{**one, "label": "Supported!", "claims": "x"} for one in answers]},
        "confidence": {**reply, "answers": [{**one, "confidence": 1.5, "claims": None} for one in answers]},
        "string number": {**reply, "answers": [{**one, "number": str(one["number"])} for one in answers]},
        "missing": {**reply, "answers": answers[1:]},
        "extra": {**reply, "answers": [*answers, {**answers[0], "number": len(answers) + 1}]},
        "twice": {**reply, "answers": [*answers, answers[0]]},
        "mark": {**reply, "call": "00000000"},
        "wrong passage": {**reply, "answers": [{**one, "label": "supported", "evidence": 999} for one in answers]},
    }
    texts = {
        None: text,
        "truncated": text[:-5],
        "refusal": "I'm sorry, but I can't help with that.",
        "empty": "",
        "two answers": text + json.dumps({**reply, "answers": [{**one, "number": 9} for one in answers]}),
        "prose": f"Sure! Here is what I think of {{these}}:\n\n{text}\n\nLet me know if [that] helps.",
        "fence": f"```json\n{text}\n```\nDone.",
        "think": f'<think>{{"call": "{reply["call"]}", "answers": []}}</think>\n{text}',
    }
    if fault == "two answers" and "label" in answers[0]:
        flipped = [{**one, "label": "irrelevant", "evidence": None} for one in answers]
        return text + "\n" + json.dumps({**reply, "answers": flipped})
    return texts[fault] if fault in texts else json.dumps(changes[fault])


class ChatServer(ThreadingHTTPServer):
    """`fault(number of the request, its body)` names what goes wrong with it, None for nothing."""

    request_queue_size = 64
    daemon_threads = True

    def __init__(self, fault=lambda number, body: None, reply=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault
        self.reply = reply
        self.requests = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """Clients that gave up are part of the tests."""

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(body)
            fault = self.server.fault(number, body)
        if fault == "hang":
            time.sleep(HANG)
            return
        if fault == "closed":
            self.connection.close()
            return
        if fault in ("429", "500", "400"):
            self._send(int(fault), b'{"error": "trouble"}', {"Retry-After": "0.02"})
            return
        text = self.server.reply(body) if self.server.reply else spoil(answer(quoted(body)), self._of_content(fault))
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        content = json.dumps({"choices": [choice], "usage": usage}).encode()
        if fault == "cut off":
            self._send(200, content[:40], {"Content-Length": str(len(content))})
        else:
            self._send(200, b"<html>busy</html>" if fault == "not json" else content)

    def _of_content(self, fault):
        return fault if fault in MALFORMED + DECORATED else None

    def _send(self, status, content, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass
