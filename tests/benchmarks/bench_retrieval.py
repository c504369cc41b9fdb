"""How long BM25 takes to index and to search a corpus of a million passages, beside rank_bm25 on a smaller one.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_retrieval

The passages are made up, the same ones in every run: words drawn by Zipf's law, the Factbook's in their order of
frequency and then compounds of them, 20 to 100 a passage, 50 passages a title. A query is ten words in a row from one
passage. Every part runs in a process of its own, and its times are CPU seconds of that process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from factalign.base.text import stems
from factalign.corpora import read_passages
from factalign.retrieval import RETRIEVERS, open_retriever
from tests.benchmarks.common import write

PASSAGES_PER_TITLE = 50
VOCABULARY = 500_000
WORDS_PER_QUERY = 10
K = 20


def make_passages(number: int) -> pd.DataFrame:
    """A `schemas.Passages` table of made-up passages; a smaller one is not the beginning of a larger one."""
    counts = Counter(word for text in read_passages("factbook")["text"] for word in text.split())
    own = [word for word, _ in counts.most_common()]
    rng = np.random.default_rng(number)
    pairs = rng.integers(0, len(own), (VOCABULARY, 2)).tolist()
    compounds = (own[left].strip(",.;:()") + own[right].strip(",.;:()").lower() for left, right in pairs)
    words = np.array(list(dict.fromkeys([*own, *compounds]))[:VOCABULARY], dtype=object)
    cumulative = np.cumsum(1 / (np.arange(len(words)) + 2.7))
    texts: list[str] = []
    while len(texts) < number:
        lengths = rng.integers(20, 101, min(50_000, number - len(texts)))
        drawn = words[np.searchsorted(cumulative, rng.random(lengths.sum()) * cumulative[-1])].tolist()
        ends = np.cumsum(lengths).tolist()
        texts.extend(" ".join(drawn[start:end]) for start, end in zip([0, *ends], ends, strict=False))
    titles = [f"Topic {index // PASSAGES_PER_TITLE}" for index in range(number)]
    ids = [str(index) for index in range(number)]
    table = pd.DataFrame({"passage_id": ids, "title": titles, "field": "", "text": texts})
    return table.assign(aliases="[]", facts="[]")


def make_queries(passages: pd.DataFrame, number: int) -> pd.DataFrame:
    """Ten words in a row from passages drawn at random, with the passage's id and title."""
    rng = np.random.default_rng(1)
    rows = passages.iloc[rng.choice(len(passages), number, replace=False)]
    parts = []
    for text in rows["text"]:
        words = text.split()
        start = int(rng.integers(0, len(words) - WORDS_PER_QUERY + 1))
        parts.append(" ".join(words[start : start + WORDS_PER_QUERY]))
    return rows[["passage_id", "title"]].assign(query=parts)


def measure_ours(number: int, queries: int) -> dict[str, Any]:
    """Build, load and search with our retriever; and search the same index with bm25s itself."""
    import bm25s

    passages = make_passages(number)
    asked = make_queries(passages, queries)
    result: dict[str, Any] = {"passages": number, "memory_before_build_mb": _peak_mb()}
    with tempfile.TemporaryDirectory() as folder:
        start, wall = time.process_time(), time.perf_counter()
        RETRIEVERS.build("bm25").build(passages, folder)
        result["build_cpu_s"], result["build_wall_s"] = time.process_time() - start, time.perf_counter() - wall
        result["peak_memory_mb"] = _peak_mb()
        result["index_mb"] = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        start = time.process_time()
        retriever = open_retriever("bm25", folder)
        result["load_cpu_s"] = time.process_time() - start
        peer = bm25s.BM25.load(folder, mmap=True, load_vocab=True)
        found, times = _timed(asked, lambda query, title: retriever.search([query], [None], K)[0])
        in_topic, topic_times = _timed(asked, lambda query, title: retriever.search([query], [title], K)[0])
        by_peer, peer_times = _timed(
            asked, lambda query, title: peer.retrieve([_terms(query)], k=K, show_progress=False).scores[0]
        )
    same = [
        np.allclose([hit.score for hit in hits], scores[: len(hits)], rtol=1e-4)
        for hits, scores in zip(found, by_peer, strict=True)
    ]
    return result | {
        "queries_per_cpu_s": 1 / np.mean(times),
        "queries_per_cpu_s_in_topic": 1 / np.mean(topic_times),
        "bm25s_queries_per_cpu_s": 1 / np.mean(peer_times),
        "same_scores_as_bm25s": float(np.mean(same)),
        "known_item_recall": _recall(asked, [[hit.passage_id for hit in hits] for hits in found]),
        "known_item_recall_in_topic": _recall(asked, [[hit.passage_id for hit in hits] for hits in in_topic]),
        "times": times,
    }


def measure_rank_bm25(number: int, queries: int) -> dict[str, Any]:
    """Build and search with rank_bm25, given the same words."""
    from rank_bm25 import BM25Okapi

    passages = make_passages(number)
    asked = make_queries(passages, queries)
    result: dict[str, Any] = {"passages": number, "memory_before_build_mb": _peak_mb()}
    start = time.process_time()
    index = BM25Okapi([stems(text) for text in passages["text"]], k1=1.2, b=0.5)
    result["build_cpu_s"] = time.process_time() - start
    result["peak_memory_mb"] = _peak_mb()

    def search(query: str, title: str) -> list[str]:
        scores = index.get_scores(_terms(query))
        nearest = np.argpartition(scores, -K)[-K:]
        return [str(row) for row in nearest[np.argsort(-scores[nearest])]]

    found, times = _timed(asked, search)
    return result | {
        "queries_per_cpu_s": 1 / np.mean(times),
        "known_item_recall": _recall(asked, found),
        "times": times,
    }


def main() -> None:
    """Measure, each part in a process of its own, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=1_000_000, help="for us alone")
    parser.add_argument("--peer-passages", type=int, default=100_000, help="for us and rank_bm25")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--peer-queries", type=int, default=50)
    sizes = parser.parse_args()
    if find_spec("rank_bm25") is None:
        parser.error("the peer is missing: pip install rank_bm25")
    ours = _in_child(measure_ours, sizes.peer_passages, sizes.peer_queries)
    peer = _in_child(measure_rank_bm25, sizes.peer_passages, sizes.peer_queries)
    large = _in_child(measure_ours, sizes.passages, sizes.queries)
    times = np.array([peer.pop("times"), ours.pop("times")])
    large.pop("times")
    rng = np.random.default_rng(0)
    samples = times[:, rng.integers(0, times.shape[1], (5000, times.shape[1]))].mean(axis=2)
    write(
        "retrieval",
        {
            "name": f"BM25 over {sizes.peer_passages} passages, the best {K}, against rank_bm25",
            "unit": "queries per CPU second",
            "ours": ours["queries_per_cpu_s"],
            "peer": peer["queries_per_cpu_s"],
            "ratio": float(times[0].mean() / times[1].mean()),
            "interval": np.quantile(samples[0] / samples[1], (0.025, 0.975)).tolist(),
            "details": {"ours_large": large, "ours": ours, "rank_bm25": peer},
        },
        packages=("rank_bm25", "bm25s", "numpy"),
    )


def _terms(query: str) -> list[str]:
    return sorted(set(stems(query)))


def _timed(asked: pd.DataFrame, search: Callable[[str, str], Any]) -> tuple[list[Any], list[float]]:
    """Answers and CPU seconds of `search(query, title)` for every query."""
    answers, times = [], []
    for query, title in zip(asked["query"], asked["title"], strict=True):
        start = time.process_time()
        answers.append(search(query, title))
        times.append(time.process_time() - start)
    return answers, times


def _recall(asked: pd.DataFrame, found: list[list[str]]) -> float:
    return float(np.mean([wanted in ids for wanted, ids in zip(asked["passage_id"], found, strict=True)]))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _in_child(measure: Callable[..., dict[str, Any]], *arguments: int) -> dict[str, Any]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


if __name__ == "__main__":
    main()
