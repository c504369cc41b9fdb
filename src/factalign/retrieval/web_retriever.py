"""Evidence from the web, by Google's answers as https://serper.dev gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from factalign.base.http import Request, api_key
from factalign.retrieval.remote import RemoteRetriever


class WebRetriever(RemoteRetriever):
    """The direct answer, the knowledge graph's entry and the snippets that Google shows for a claim.

    Args:
        api_key_env: Environment variable that holds the key of the service; it is sent in a header and never logged.
        url: Address of the service.
        timeout: For this and the rest see `RemoteRetriever`.
        attempts: Tries of one request.
        pause: Seconds before the second try.
        concurrency: Requests that are under way at once.

    Raises:
        ValueError: The environment variable holds no key.
    """

    def __init__(
        self,
        api_key_env: str = "SERPER_API_KEY",
        url: str = "https://google.serper.dev/search",
        timeout: float = 20.0,
        attempts: int = 4,
        pause: float = 1.0,
        concurrency: int = 8,
    ) -> None:
        super().__init__(url, timeout, attempts, pause, concurrency)
        key = api_key(api_key_env)
        if not key:
            raise ValueError(f"the retriever 'web' needs an API key in the environment variable {api_key_env}")
        self._headers = {"Content-Type": "application/json", "X-API-KEY": key}
        self._patience["secret"] = key

    def _request(self, query: str, k: int) -> Request:
        return Request("POST", self._url, json.dumps({"q": query, "num": k}).encode(), self._headers)

    def _texts(self, reply: Any) -> Iterator[tuple[str, str, float | None]]:
        results = reply.get("organic", []) if isinstance(reply, dict) else None
        if not isinstance(results, list):
            raise ValueError(f"the answer is not one of a search: {str(reply)[:200]}")
        answer, graph = (_object(reply, key) for key in ("answerBox", "knowledgeGraph"))
        for key in ("answer", "snippet"):
            yield _text(answer, "title"), _text(answer, key), None
        title = _text(graph, "title")
        attributes = [f"{name}: {value}" for name, value in _object(graph, "attributes").items()]
        described = [_text(graph, "type"), _text(graph, "description"), *attributes]
        yield title, "; ".join(filter(None, described)), None
        for result in results:
            yield _text(result, "title"), _text(result, "snippet"), None


def _object(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{key!r} of the answer is not an object: {str(value)[:200]}")
    return value


def _text(parent: Any, key: str) -> str:
    value = parent.get(key) or "" if isinstance(parent, dict) else None
    if not isinstance(value, str | int | float):
        raise ValueError(f"{key!r} is not text in the answer's {str(parent)[:200]}")
    return str(value)
