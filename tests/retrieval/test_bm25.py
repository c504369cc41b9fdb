import bm25s
import numpy as np
import pandas as pd
import pytest

from factalign.base.text import stems
from factalign.retrieval import RETRIEVERS, open_retriever


def texts(passages, hits):
    by_id = passages.set_index("passage_id")["text"]
    return [by_id[hit.passage_id] for hit in hits]


def test_search_stays_within_the_topic(passages, index_dir):
    retriever = open_retriever("bm25", index_dir)
    (hits,) = retriever.search(["It is bordered by Eastland"], ["Midland"], 5)
    found = texts(passages, hits)
    assert all(text.startswith("Midland. ") for text in found)
    assert any("Neighbours" in text for text in found[:2])
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_an_alias_stands_for_its_topic(index_dir):
    retriever = open_retriever("bm25", index_dir)
    by_title, by_alias = retriever.search(["mining industries"] * 2, ["Midland", "republic of MIDLAND"], 3)
    assert by_title == by_alias != []


def test_no_topic_searches_everything_and_a_strange_one_nothing(passages, index_dir):
    retriever = open_retriever("bm25", index_dir)
    everywhere, nowhere, wordless = retriever.search(["Midland mining", "mining", "🎉"], [None, "Atlantis", None], 100)
    assert len({text.split(".")[0] for text in texts(passages, everywhere)}) == 3
    assert nowhere == [] == wordless


def test_same_index_same_hits_and_built_equals_loaded(passages, tmp_path):
    built = RETRIEVERS.build("bm25")
    built.build(passages.sample(frac=1, random_state=0), tmp_path)
    loaded = open_retriever("bm25", tmp_path)
    query = ["population of two million people", "capital city"]
    assert built.search(query, [None, "Westland"], 7) == loaded.search(query, [None, "Westland"], 7)


def test_no_pickle_in_the_index(index_dir):
    assert not [path.name for path in index_dir.iterdir() if path.suffix in (".pkl", ".pickle")]


def test_ties_keep_the_order_of_the_table(tmp_path, passages):
    same = passages.iloc[[0, 0, 0]].assign(passage_id=["c", "a", "b"])
    retriever = RETRIEVERS.build("bm25")
    retriever.build(same, tmp_path)
    (hits,) = retriever.search([same["text"].iloc[0]], [None], 3)
    assert [hit.passage_id for hit in hits] == ["c", "a", "b"]


def test_scores_are_those_of_bm25s(tmp_path):
    """On text whose words are as unequal as those of a language."""
    rng = np.random.default_rng(0)
    chances = 1 / (np.arange(3000) + 2.7)
    words = np.array([f"w{number}x" for number in range(3000)])
    texts = [" ".join(rng.choice(words, rng.integers(5, 60), p=chances / chances.sum())) for _ in range(2000)]
    table = pd.DataFrame({"passage_id": [str(n) for n in range(2000)], "title": "t", "field": "", "text": texts})
    retriever = RETRIEVERS.build("bm25")
    retriever.build(table.assign(aliases="[]", facts="[]"), tmp_path)
    peer = bm25s.BM25(k1=1.2, b=0.5, method="lucene")
    peer.index([stems(text) for text in texts], show_progress=False)
    queries = [" ".join(rng.permutation(texts[n].split())[:12]) for n in range(0, 2000, 20)]
    for k in (1, 20, 3000):
        for query, hits in zip(queries, retriever.search(queries, [None] * len(queries), k), strict=True):
            scores = peer.get_scores(sorted(set(stems(query))))
            expected = np.argsort(-scores, kind="stable")[: min(k, np.count_nonzero(scores))]
            assert [hit.score for hit in hits] == pytest.approx(scores[expected], rel=1e-5)
            assert np.allclose(scores[[int(hit.passage_id) for hit in hits]], scores[expected], rtol=1e-5)


def test_errors(tmp_path, passages, index_dir):
    with pytest.raises(ValueError, match="valid names: bm25"):
        RETRIEVERS.build("colbert")
    with pytest.raises(ValueError, match="no bm25 index here"):
        open_retriever("bm25", tmp_path)
    with pytest.raises(ValueError, match="call build or load first"):
        RETRIEVERS.build("bm25").search(["a"], [None], 1)
    with pytest.raises(ValueError, match="at least one passage"):
        RETRIEVERS.build("bm25").build(passages.iloc[:0], tmp_path)
    with pytest.raises(ValueError, match="k must be at least 1"):
        open_retriever("bm25", index_dir).search(["a"], [None], 0)
