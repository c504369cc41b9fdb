"""BM25 over `bm25s`, with an index that is saved as plain arrays and read memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from factalign.knowledge.retrievers import Hit, titles_by_name
from factalign.knowledge.text import fold, stems

_TABLE = "titles.parquet"


class BM25Retriever:
    """Lexical retrieval (Lucene's BM25, Robertson & Zaragoza 2009).

    A topic's passages lie side by side in the index, so a search within a topic reads only their part of
    each posting list: its time does not grow with the corpus.

    Args:
        k1: Saturation of a word's count.
        b: Strength of the length normalisation.
    """

    def __init__(self, k1: float = 1.2, b: float = 0.5) -> None:
        self.k1, self.b = k1, b
        self._index: Any = None

    def build(self, passages: pd.DataFrame, directory: str | Path) -> None:
        """See `Retriever.build`."""
        import bm25s

        if passages.empty:
            raise ValueError("bm25 needs at least one passage")
        ordered = passages.sort_values("title", kind="stable")
        index = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
        index.index([stems(text) or [""] for text in ordered["text"]], show_progress=False)
        Path(directory).mkdir(parents=True, exist_ok=True)
        index.save(str(directory))
        ordered[["passage_id", "title", "aliases"]].to_parquet(Path(directory) / _TABLE, index=False)
        self.load(directory)

    def load(self, directory: str | Path) -> None:
        """See `Retriever.load`."""
        import bm25s

        path = Path(directory) / _TABLE
        if not path.is_file():
            raise ValueError(f"{directory}: no bm25 index here ({_TABLE} is missing); build it first")
        self._index = bm25s.BM25.load(str(directory), mmap=True, load_corpus=False, load_vocab=True)
        table = pd.read_parquet(path)
        self._passage_ids = table["passage_id"].tolist()
        titles = table["title"].to_numpy(dtype=object)
        starts = np.flatnonzero(np.r_[True, titles[1:] != titles[:-1]])
        ends = np.r_[starts[1:], len(titles)]
        self._ranges = {titles[start]: (int(start), int(end)) for start, end in zip(starts, ends, strict=True)}
        first = table.drop_duplicates("title")
        self._titles = titles_by_name(first["title"].tolist(), first["aliases"].tolist())

    def search(self, queries: Sequence[str], topics: Sequence[str | None], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. An unknown topic has no passages, hence no hits."""
        if self._index is None:
            raise ValueError("the bm25 retriever has no index: call build or load first")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        return [self._search(query, topic, k) for query, topic in zip(queries, topics, strict=True)]

    def _search(self, query: str, topic: str | None, k: int) -> list[Hit]:
        low, high = 0, len(self._passage_ids)
        words = set(stems(query))
        if topic is not None:
            title = self._titles.get(fold(topic), "")
            low, high = self._ranges.get(title, (0, 0))
            # Within a topic its own name tells nothing, but would rank the passages that repeat it first.
            words = words - set(stems(title)) or words
        if low == high:
            return []
        scores = np.zeros(high - low, dtype=np.float32)
        postings, vocabulary = self._index.scores, self._index.vocab_dict
        for word in words & vocabulary.keys():
            token = vocabulary[word]
            start, end = int(postings["indptr"][token]), int(postings["indptr"][token + 1])
            documents = postings["indices"][start:end]
            first, last = np.searchsorted(documents, (low, high))
            scores[documents[first:last] - low] += postings["data"][start + first : start + last]
        found = np.flatnonzero(scores > 0)
        best = found[np.lexsort((found, -scores[found]))[:k]]
        return [Hit(self._passage_ids[low + row], float(scores[row])) for row in best]
