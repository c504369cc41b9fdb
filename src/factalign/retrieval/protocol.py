"""Retrievers by name: the passages nearest to a query, restricted to a topic where there is one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factalign.base.registry import Registry
from factalign.base.text import fold


@dataclass(frozen=True)
class Hit:
    """One passage found; a higher `score` is nearer.

    A retriever whose passages are not in the passages table says here what it found: `text`, and `title` where the
    source has one. Elsewhere both are empty.
    """

    passage_id: str
    score: float
    title: str = ""
    text: str = ""


class Retriever(Protocol):
    """Finds passages. Implementations are made by `load_retriever(name, **options)` and filled by `build`
    or `load`.
    """

    def build(self, passages: pd.DataFrame, directory: str | Path) -> None:
        """Index a `schemas.Passages` table and save the index to `directory`."""

    def load(self, directory: str | Path) -> None:
        """Read a saved index.

        Raises:
            ValueError: `directory` holds no index of this retriever.
        """

    def search(self, queries: Sequence[str], topics: Sequence[str | None], k: int) -> list[list[Hit]]:
        """The `k` best passages for each query, best first; ties in the order of the table.

        Args:
            queries: Any text; one without a known word has no hits of its own.
            topics: For each query the title (or an alias of it) to search in; None searches everything. A source that
                knows no titles gets it as part of the query.
            k: At least 1.
        """


RETRIEVERS: Registry[Retriever] = Registry(
    "retriever",
    {
        "bm25": "factalign.retrieval.bm25:BM25Retriever",
        "dense": "factalign.retrieval.dense:DenseRetriever",
        "http": "factalign.retrieval.http_retriever:HTTPRetriever",
        "hybrid": "factalign.retrieval.hybrid:HybridRetriever",
        "web": "factalign.retrieval.web_retriever:WebRetriever",
    },
)


def load_retriever(name: str, directory: str | Path | None = None, **options: Any) -> Retriever:
    """A retriever, with the saved index of `directory` if given."""
    retriever = RETRIEVERS.load(name, **options)
    if directory is not None:
        retriever.load(directory)
    return retriever


def titles_by_name(titles: Sequence[str], aliases: Sequence[str]) -> dict[str, str]:
    """Folded title or alias -> title; an alias that several titles share belongs to none of them."""
    names = {fold(title): title for title in titles}
    shared: dict[str, set[str]] = {}
    for title, listed in dict(zip(titles, aliases, strict=True)).items():
        for alias in json.loads(listed or "[]"):
            shared.setdefault(fold(alias), set()).add(title)
    return {**{alias: next(iter(owners)) for alias, owners in shared.items() if len(owners) == 1}, **names}


def check_k(k: int) -> None:
    """Whether `k` is a number of passages.

    Raises:
        ValueError: It is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


def best(rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `k` rows with the largest scores, and those scores; ties in the order of rows. Both are [n] arrays."""
    if len(rows) > k:
        enough = scores >= np.partition(scores, -k)[-k]
        rows, scores = rows[enough], scores[enough]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]
