"""BM25 over `bm25s`, with an index that is saved as plain arrays and read memory-mapped."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factalign.knowledge.retrievers import Hit, best, check_k
from factalign.knowledge.text import stems
from factalign.knowledge.topic_rows import TopicRows, in_topic_order, save_rows

# Sums of a query's scores in float32 differ by far less than this share from the exact ones.
_SLACK = 1e-3


class _Postings(NamedTuple):
    """The rows (ascending) that hold a word, the word's score in each, and what no score exceeds."""

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    limit: float


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
        ordered = in_topic_order(passages)
        index = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
        index.index(_tokens(ordered["text"]), show_progress=False)
        Path(directory).mkdir(parents=True, exist_ok=True)
        index.save(str(directory))
        save_rows(ordered, directory)
        self.load(directory)

    def load(self, directory: str | Path) -> None:
        """See `Retriever.load`."""
        import bm25s

        self._rows = TopicRows(directory, "bm25")
        self._index = bm25s.BM25.load(str(directory), mmap=True, load_corpus=False, load_vocab=True)

    def search(self, queries: Sequence[str], topics: Sequence[str | None], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. An unknown topic has no passages, hence no hits."""
        if self._index is None:
            raise ValueError("the bm25 retriever has no index: call build or load first")
        check_k(k)
        return [self._search(query, topic, k) for query, topic in zip(queries, topics, strict=True)]

    def _search(self, query: str, topic: str | None, k: int) -> list[Hit]:
        words = set(stems(query))
        if topic is not None:
            # Within a topic its own name tells nothing, but would rank the passages that repeat it first.
            words = words - set(stems(self._rows.title(topic))) or words
        low, high = self._rows.range(topic)
        rows, scores = _add_up(self._postings(words, low, high), high - low, k)
        ids = self._rows.passage_ids
        return [Hit(ids[low + row], score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True)]

    def _postings(self, words: set[str], low: int, high: int) -> list[_Postings]:
        """Postings of the words that occur in rows `low` to `high`, rarest word first; rows count from
        `low`.
        """
        index, found = self._index.scores, []
        for token in sorted(self._index.vocab_dict[word] for word in words & self._index.vocab_dict.keys()):
            start, end = index["indptr"][token : token + 2].tolist()
            rows = index["indices"][start:end]
            first, last = np.searchsorted(rows, (low, high)).tolist()
            if first < last:
                # A score is the idf times a saturated count below 1, with Lucene's idf (bm25s, `method="lucene"`).
                idf = math.log(1 + (len(self._rows.passage_ids) - (end - start) + 0.5) / (end - start + 0.5))
                found.append(_Postings(rows[first:last] - low, index["data"][start + first : start + last], idf))
        return sorted(found, key=lambda postings: -postings.limit)


def _tokens(texts: Iterable[str]) -> tuple[list[Any], dict[str, int]]:
    """Word numbers of each text, four bytes a word, and the vocabulary in order of appearance."""
    vocabulary: defaultdict[str, int] = defaultdict(count().__next__)
    return [array("i", map(vocabulary.__getitem__, stems(text) or [""])) for text in texts], vocabulary


def _add_up(words: list[_Postings], length: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `k` rows with the largest sums of scores, and those sums; ties in the order of rows.

    Exact, and yet the long lists of common words are hardly read: once the k-th best sum exceeds what the words
    that are left can add up to, a row without any of the words so far can no longer get among the best (MaxScore,
    Turtle & Flood 1995).
    """
    sums = np.zeros(length, dtype=np.float32)
    left = sum(word.limit for word in words) * (1 + _SLACK)
    bound = 0.0  # what the k-th best sum is at least
    remaining = iter(words)
    for word in remaining:
        sums[word.rows] += word.scores
        left -= word.limit
        if len(word.rows) >= k:
            bound = max(bound, float(np.partition(sums[word.rows], -k)[-k]))
        if bound > left:
            break
    rows = np.flatnonzero(sums > 0 if bound <= left else sums >= bound - left)
    for word in remaining:
        at = np.searchsorted(word.rows, rows)
        at[at == len(word.rows)] = 0
        shared = word.rows[at] == rows
        sums[rows[shared]] += word.scores[at[shared]]
    return best(rows, sums[rows], k)
