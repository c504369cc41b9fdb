"""Several retrievers as one, by reciprocal-rank fusion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from factalign.base.http import FetchError
from factalign.base.registry import Choice, ChoiceLike
from factalign.retrieval.protocol import RETRIEVERS, Found, Hit, check_k

_RANK_OFFSET = 60  # as in the paper


class HybridRetriever:
    """A passage's score is the sum of 1 / (60 + rank) over the retrievers that found it, rank from 1
    (Cormack, Clarke & Büttcher 2009).

    Args:
        retrievers: Names of `RETRIEVERS`, or `{name, options}`.
        depth: How many passages each retriever is asked for, at least as many as are wanted.

    Raises:
        ValueError: Fewer than two retrievers, or one that is unknown or no choice.
    """

    def __init__(self, retrievers: Sequence[ChoiceLike] = ("bm25", "dense"), depth: int = 100) -> None:
        if len(retrievers) < 2:
            raise ValueError("hybrid needs at least two retrievers to fuse")
        check_k(depth)
        self._depth = depth
        self._parts = {
            f"{number}-{choice.name.rpartition(':')[2]}": RETRIEVERS.build(choice)
            for number, choice in enumerate(map(Choice.model_validate, retrievers))
        }

    def build(self, passages: pd.DataFrame, directory: str | Path) -> None:
        """See `Retriever.build`; each retriever has a folder of its own."""
        for folder, retriever in self._parts.items():
            (Path(directory) / folder).mkdir(parents=True, exist_ok=True)
            retriever.build(passages, Path(directory) / folder)

    def load(self, directory: str | Path) -> None:
        """See `Retriever.load`."""
        for folder, retriever in self._parts.items():
            retriever.load(Path(directory) / folder)

    def search(self, queries: Sequence[str], topics: Sequence[str | None], k: int) -> list[Found]:
        """See `Retriever.search`; of passages with the same score, the one that an earlier retriever found. A query
        fails where one of the retrievers could not answer it.
        """
        check_k(k)
        depth = max(k, self._depth)
        lists = [retriever.search(queries, topics, depth) for retriever in self._parts.values()]
        return [_fuse_found(found, k) for found in zip(*lists, strict=True)]


def fuse(rankings: Sequence[Sequence[Hit]]) -> list[Hit]:
    """All passages of some rankings, by reciprocal-rank fusion."""
    hits: dict[str, Hit] = {}
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking, start=1):
            hits.setdefault(hit.passage_id, hit)
            scores[hit.passage_id] = scores.get(hit.passage_id, 0.0) + 1 / (_RANK_OFFSET + rank)
    # A stable sort: ties keep the order in which they were found.
    order = sorted(scores, key=lambda passage_id: -scores[passage_id])
    return [Hit(key, scores[key], hits[key].title, hits[key].text) for key in order]


def _fuse_found(found: Sequence[Found], k: int) -> Found:
    failure = next((each for each in found if isinstance(each, FetchError)), None)
    return failure or fuse([each for each in found if not isinstance(each, FetchError)])[:k]
