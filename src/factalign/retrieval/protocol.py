"""Retrievers by name: the passages nearest to a query, restricted to a topic where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from factalign.base.http import FetchError
from factalign.base.registry import ChoiceLike, Registry

if TYPE_CHECKING:
    import pandas as pd


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


Found = list[Hit] | FetchError
"""What a query found; or why nobody knows, which is not the same as nothing."""


class Retriever(Protocol):
    """Finds passages. Implementations are made by `RETRIEVERS.build(choice)` and filled by `build` or `load`."""

    def build(self, passages: pd.DataFrame, directory: str | Path) -> None:
        """Index a `schemas.Passages` table and save the index to `directory`."""

    def load(self, directory: str | Path) -> None:
        """Read a saved index.

        Raises:
            ValueError: `directory` holds no index of this retriever.
        """

    def search(self, queries: Sequence[str], topics: Sequence[str | None], k: int) -> Sequence[Found]:
        """The `k` best passages for each query, best first; ties in the order of the table. A query that could not be
        answered fails alone, as a `FetchError` in place of its passages.

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


def open_retriever(choice: ChoiceLike, directory: str | Path) -> Retriever:
    """The chosen retriever with the index that is saved in `directory`.

    Raises:
        ValueError: Unknown name or options, or `directory` holds no index of this retriever.
    """
    retriever = RETRIEVERS.build(choice)
    retriever.load(directory)
    return retriever


def check_k(k: int) -> None:
    """Whether `k` is a number of passages.

    Raises:
        ValueError: It is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
