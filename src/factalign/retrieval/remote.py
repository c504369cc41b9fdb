"""What retrievers over HTTP share: nothing to index, many queries under way at once, some of which may fail."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from factalign.base.http import FetchError, Request, check_url, fetch
from factalign.base.ids import content_id
from factalign.base.text import well_formed, with_topic
from factalign.retrieval.protocol import Found, Hit, check_k

_MOST_FAILED = 0.5  # share of the queries that may fail
logger = logging.getLogger(__name__)


class RemoteRetriever(ABC):
    """Passages from a server, which come with their text.

    Args:
        url: Address of the server.
        timeout: Seconds after which a request without a whole answer is given up.
        attempts: Tries of one request, with growing pauses (or the server's `Retry-After`) between them.
        pause: Seconds before the second try.
        concurrency: Requests that are under way at once.

    Raises:
        ValueError: An address that is not HTTP.
    """

    def __init__(
        self, url: str, timeout: float = 20.0, attempts: int = 4, pause: float = 1.0, concurrency: int = 8
    ) -> None:
        self._url = check_url(url)
        self._patience: dict[str, Any] = {"timeout": timeout, "attempts": attempts, "pause": pause}
        self._concurrency = concurrency

    def build(self, passages: pd.DataFrame, directory: str | Path) -> None:
        """See `Retriever.build`: the server has passages of its own, so the index is an empty folder."""
        Path(directory).mkdir(parents=True, exist_ok=True)

    def load(self, directory: str | Path) -> None:  # noqa: B027
        """See `Retriever.load`: nothing to do."""

    def search(self, queries: Sequence[str], topics: Sequence[str | None], k: int) -> list[Found]:
        """See `Retriever.search`. A topic that the query does not name is put before it (`with_topic`), as in claims;
        equal queries are asked once.

        A query whose requests all fail gets the last one's error, and is counted in the log.

        Raises:
            FetchError: More than half of the queries failed, or all of the first `concurrency` ones: the rest is not
                tried then.
        """
        check_k(k)
        asked = [with_topic(query, topic or "").strip() for query, topic in zip(queries, topics, strict=True)]
        distinct = [query for query in dict.fromkeys(asked) if query]
        answers = dict(zip(distinct, self._ask_all(distinct, k), strict=True))
        failures = [answer for answer in answers.values() if isinstance(answer, FetchError)]
        if failures:
            problem = f"{len(failures)} of {len(answers)} queries failed; the last: {failures[-1]}"
            if len(failures) > _MOST_FAILED * len(answers):
                raise FetchError(problem)
            logger.warning("%s", problem)
        return [answers.get(query, []) for query in asked]

    @abstractmethod
    def _request(self, query: str, k: int) -> Request:
        """The request for one query."""

    @abstractmethod
    def _texts(self, reply: Any) -> Iterable[tuple[str, str, float | None]]:
        """Title, text and score (if there is one) of the passages in the server's JSON, best first; ValueError if it
        is not of the expected form.
        """

    def _ask_all(self, queries: list[str], k: int) -> list[Found]:
        ask, first = partial(self._ask, k=k), queries[: self._concurrency]
        with ThreadPoolExecutor(max_workers=self._concurrency) as pool:
            try:
                answers = list(pool.map(ask, first))
                if answers and all(isinstance(answer, FetchError) for answer in answers):
                    raise FetchError(f"no query was answered; the last: {answers[-1]}")
                return answers + list(pool.map(ask, queries[len(first) :]))
            except BaseException:
                pool.shutdown(cancel_futures=True, wait=False)
                raise

    def _ask(self, query: str, k: int) -> Found:
        try:
            return fetch(self._request(query, k), partial(self._hits, k=k), **self._patience)
        except FetchError as failure:
            return failure

    def _hits(self, reply: Any, k: int) -> list[Hit]:
        hits: dict[str, Hit] = {}
        for title, text, score in self._texts(reply):
            # JSON can hold half a surrogate pair, which no table can.
            title, text = (well_formed(part) for part in (title, text))
            if text.strip():
                passage_id = content_id("passage", title, text)
                rank = len(hits) + 1
                hits.setdefault(passage_id, Hit(passage_id, 1 / rank if score is None else score, title, text))
        return list(hits.values())[:k]
