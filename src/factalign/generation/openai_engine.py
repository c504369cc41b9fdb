"""Sampling from a server that speaks OpenAI's chat-completions protocol."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from typing import Any

from tqdm import tqdm

from factalign.base.http import FetchError, Pacer, Request, api_key, check_url, fetch
from factalign.generation.engines import EngineError, Generation, Message, Sampling, as_messages
from factalign.policies import PolicyHandle


class OpenAIEngine:
    """Chat completions over HTTP, one request a response (not every server gives several at once).

    Args:
        handle: The policy; its `model` is the name that the server knows, unless `model` is given.
        base_url: Address up to and including `/v1`.
        model: Name of the model on the server; needed where the handle has adapters, which the server must
            have merged.
        api_key_env: Environment variable that holds the key; without it, none is sent.
        timeout: Seconds after which a request without a whole answer is given up.
        attempts: Tries of one request, with growing pauses (or the server's `Retry-After`) between them.
        pause: Seconds before the second try.
        requests_per_minute: Tries that may start in a minute; None for no limit.
        body: Further fields of every request, such as `{"reasoning_effort": "low"}`; None takes a field out,
            as in `{"max_tokens": None, "max_completion_tokens": 2000}`.

    Raises:
        ValueError: An address that is not HTTP, a key that no header can hold, or adapters without a `model`.
    """

    def __init__(
        self,
        handle: PolicyHandle,
        base_url: str = "http://localhost:8000/v1",
        model: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        timeout: float = 120.0,
        attempts: int = 5,
        pause: float = 1.0,
        requests_per_minute: float | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        if handle["adapters"] and model is None:
            raise ValueError(
                "the engine 'openai' cannot merge adapters: serve the merged policy, and give its name on the "
                "server as the engine option `model`"
            )
        self._url = check_url(base_url).rstrip("/") + "/chat/completions"
        self._model = model or handle["model"]
        self._headers = {"Content-Type": "application/json"}
        self._key = api_key(api_key_env)
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key}"
        pacer = Pacer(requests_per_minute)
        self._patience: dict[str, Any] = {"timeout": timeout, "attempts": attempts, "pause": pause, "pacer": pacer}
        self._body = dict(body or {})

    def generate(self, conversations: Sequence[Sequence[Message]], sampling: Sampling) -> list[list[Generation]]:
        """See `Engine.generate`; `sampling.batch_size` requests are under way at once.

        Every response has a seed of its own; whether it repeats is up to the server. `top_k` is not part of
        OpenAI's protocol and sent only where it is not 0.

        Raises:
            EngineError: The server refused a request, or `attempts` tries of it failed.
        """
        samples, seed = sampling.samples, sampling.seed
        repeated = [conversation for conversation in conversations for _ in range(samples)]
        flat: dict[int, Generation] = {}
        with closing(self.stream(repeated, range(seed, seed + len(repeated)), sampling)) as answers:
            for index, answer in tqdm(answers, total=len(repeated), unit="response", desc="sampling", mininterval=1):
                if isinstance(answer, EngineError):
                    raise answer
                flat[index] = answer
        return [[flat[start + sample] for sample in range(samples)] for start in range(0, len(flat), samples)]

    def stream(
        self, conversations: Sequence[Sequence[Message]], seeds: Sequence[int], sampling: Sampling
    ) -> Generator[tuple[int, Generation | EngineError]]:
        """See `engines.stream`."""
        shared = {
            "model": self._model,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or None,
            "response_format": sampling.response_format,
        }
        with ThreadPoolExecutor(max_workers=sampling.batch_size) as pool:
            try:
                futures = {}
                for index, (conversation, seed) in enumerate(zip(conversations, seeds, strict=True)):
                    body = {**shared, "messages": as_messages(conversation), "seed": seed, **self._body}
                    body = {key: value for key, value in body.items() if value is not None}
                    futures[pool.submit(self._complete, body)] = index
                for future in as_completed(futures):
                    error = future.exception()
                    if error is not None and not isinstance(error, EngineError):
                        raise error
                    yield futures[future], error or future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True, wait=False)
                raise

    def _complete(self, body: dict[str, Any]) -> Generation:
        post = Request("POST", self._url, json.dumps(body).encode(), self._headers)
        try:
            return fetch(post, _parse, **self._patience)
        except FetchError as error:
            # Not in the answers themselves: a local server's key may be an ordinary word.
            raise EngineError(str(error).replace(self._key, "***") if self._key else str(error)) from None


def _parse(reply: Any) -> Generation:
    """The generation in a chat-completions reply; ValueError where it is not one."""
    try:
        choice, usage = reply["choices"][0], reply["usage"]
        text = choice["message"]["content"] or ""
        num_tokens, prompt_tokens = int(usage["completion_tokens"]), int(usage.get("prompt_tokens", 0))
        reason = choice["finish_reason"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__} {error}"
        raise ValueError(f"the reply is not a chat completion ({problem}): {str(reply)[:200]}") from error
    if not isinstance(text, str):
        raise ValueError(f"the reply's message content is {type(text).__name__}, not text")
    return Generation(text, "length" if reason == "length" else "stop", num_tokens, prompt_tokens)
