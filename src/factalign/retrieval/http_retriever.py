"""Passages from a server that speaks the protocol of the ColBERTv2 server behind the published FactAlign models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from factalign.base.http import Request
from factalign.retrieval.remote import RemoteRetriever

_LARGEST_SCORE = 1e300  # not NaN, not infinite, not an integer that no float can hold


class HTTPRetriever(RemoteRetriever):
    """`GET {url}?query=…&k=…` is answered by `{"topk": [{"text": …}, …]}`, best first, where each may also have a
    `title` and a `score`; for the options see `RemoteRetriever`.
    """

    def _request(self, query: str, k: int) -> Request:
        separator = "&" if "?" in self._url else "?"
        return Request("GET", self._url + separator + urlencode({"query": query, "k": k}, errors="replace"))

    def _texts(self, reply: Any) -> Iterable[tuple[str, str, float | None]]:
        passages = reply.get("topk") if isinstance(reply, dict) else None
        if not isinstance(passages, list):
            raise ValueError(f'the answer is not {{"topk": […]}}: {str(reply)[:200]}')
        return [_passage(passage) for passage in passages]


def _passage(passage: Any) -> tuple[str, str, float | None]:
    fields = passage if isinstance(passage, dict) else {}
    title, text, score = fields.get("title") or "", fields.get("text"), fields.get("score")
    number = score is None or (isinstance(score, int | float) and abs(score) < _LARGEST_SCORE)
    if not (isinstance(text, str) and isinstance(title, str) and number):
        raise ValueError(f'a passage of "topk" is not {{"text": …}} with perhaps title and score: {str(passage)[:200]}')
    return title, text, score
