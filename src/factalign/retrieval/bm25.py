"""BM25 over `bm25s`, with an index that is saved as plain arrays and read memory-mapped."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import bm25s
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factalign.base.text import stems
from factalign.retrieval.protocol import Hit, check_k
from factalign.retrieval.ranking import best
from factalign.retrieval.topic_rows import TopicRows, in_topic_order, save_rows

# The rows that hold a word, ascending, and its score in each.
_Postings = tuple[NDArray[np.int32], NDArray[np.float32]]


class _Words(NamedTuple):
    """Texts as bm25s takes them: the word numbers of all texts in a row with the number of words of each text, and the
    words in order of appearance.
    """

    ids: tuple[NDArray[np.int32], NDArray[np.int64]]
    vocab: dict[str, int]


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
        self._arrays: tuple[NDArray[Any], ...] = ()

    def build(self, passages: pd.DataFrame, directory: str | Path) -> None:
        """See `Retriever.build`."""
        if passages.empty:
            raise ValueError("bm25 needs at least one passage")
        ordered = in_topic_order(passages)
        index = _Index(k1=self.k1, b=self.b, method="lucene")
        index.index(_words(ordered["text"]))
        Path(directory).mkdir(parents=True, exist_ok=True)
        index.save(str(directory))
        save_rows(ordered, directory)
        self.load(directory)

    def load(self, directory: str | Path) -> None:
        """See `Retriever.load`."""
        self._rows = TopicRows(directory, "bm25")
        index = bm25s.BM25.load(str(directory), mmap=True, load_corpus=False, load_vocab=True)
        self._vocabulary: dict[str, int] = index.vocab_dict
        # Plain views of the mapped files: slices of `memmap` are slower.
        self._arrays = tuple(np.asarray(index.scores[name]) for name in ("indptr", "indices", "data"))

    def search(self, queries: Sequence[str], topics: Sequence[str | None], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. An unknown topic has no passages, hence no hits."""
        if not self._arrays:
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
        """For each word the rows from `low` to `high` that hold it, counted from `low`, and its score in each."""
        indptr, indices, data = self._arrays
        result = []
        # A fixed order, so that sums are rounded in the same way in every run.
        for token in sorted(self._vocabulary[word] for word in words & self._vocabulary.keys()):
            start, end = indptr[token : token + 2].tolist()
            if high - low < len(self._rows.passage_ids):
                first, last = np.searchsorted(indices[start:end], (low, high)).tolist()
                start, end = start + first, start + last
            rows = indices[start:end]
            result.append((rows - low if low else rows, data[start:end]))
        return result


def _words(texts: Iterable[str]) -> _Words:
    vocabulary: defaultdict[str, int] = defaultdict(count().__next__)
    words, lengths = array("i"), array("q")
    for text in texts:
        before = len(words)
        words.extend(map(vocabulary.__getitem__, stems(text) or [""]))
        lengths.append(len(words) - before)
    return _Words((np.frombuffer(words, np.int32), np.frombuffer(lengths, np.int64)), dict(vocabulary))


class _Index(bm25s.BM25):
    """An index that is built with array operations; bm25s counts words in Python, which takes minutes for a million
    passages. The scores are the same.
    """

    def build_index_from_ids(self, unique_token_ids: Any, corpus_token_ids: Any, **progress: Any) -> dict[str, Any]:
        """The scores of all words in all texts, as a sparse matrix by columns: one column a word, one row a text."""
        self.nonoccurrence_array = None  # another method's
        words, lengths = corpus_token_ids
        rows = len(lengths)
        pairs = words.astype(np.int64)
        pairs *= rows
        pairs += np.repeat(np.arange(rows), lengths)
        pairs.sort()
        first = np.flatnonzero(np.r_[True, pairs[1:] != pairs[:-1]])
        counts = np.diff(first, append=len(pairs)).astype(np.float32)
        columns, indices = np.divmod(pairs[first], rows)
        texts = np.bincount(columns)
        length_norm = (self.k1 * (1 - self.b + self.b * lengths / lengths.mean())).astype(np.float32)
        idf = np.log(1 + (rows - texts + 0.5) / (texts + 0.5)).astype(np.float32)
        return {
            "data": counts / (counts + length_norm[indices]) * idf[columns],
            "indices": indices.astype(np.int32),
            "indptr": np.concatenate([[0], np.cumsum(texts)]),
            "num_docs": rows,
        }


def _add_up(words: list[_Postings], length: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `k` of `length` rows with the largest sums of scores, and those sums; ties in the order of rows."""
    sums = np.zeros(length, dtype=np.float32)
    for rows, scores in words:
        np.add.at(sums, rows, scores)
    # The k-th best of any rows is a bound for the k-th best of all; those with the rarest word give a good one.
    rarest = min((rows for rows, _ in words if len(rows) >= k), key=len, default=None)
    found = np.flatnonzero(sums if rarest is None else sums >= np.partition(sums[rarest], -k)[-k])
    return best(found, sums[found], k)
