import pytest

from factalign.retrieval import RETRIEVERS, Hit, open_retriever
from factalign.retrieval.hybrid import fuse


def test_reciprocal_rank_fusion_by_hand():
    first = [Hit("a", 9.0), Hit("b", 8.0), Hit("c", 7.0)]
    second = [Hit("c", 0.9, "C", "found text"), Hit("a", 0.8)]
    fused = fuse([first, second])
    assert [hit.passage_id for hit in fused] == ["a", "c", "b"]
    assert [hit.score for hit in fused] == pytest.approx([1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62])
    assert fuse([[Hit("x", 1.0)], [Hit("y", 1.0)]]) == [Hit("x", 1 / 61), Hit("y", 1 / 61)]
    assert fuse([[], [Hit("w", 1.0, "T", "text")]]) == [Hit("w", 1 / 61, "T", "text")]


def test_fused_rankings_are_saved_and_loaded(passages, tmp_path):
    choice = {"name": "hybrid", "options": {"retrievers": ["bm25", {"name": "bm25", "options": {"b": 0.0}}]}}
    built = RETRIEVERS.build(choice)
    built.build(passages, tmp_path)
    loaded = open_retriever(choice, tmp_path)
    queries, topics = ["mining and fishing", "mining and fishing", "mining"], [None, "Midland", "Atlantis"]
    found = loaded.search(queries, topics, 4)
    assert found == built.search(queries, topics, 4)
    assert [len(hits) for hits in found] == [4, 4, 0]
    single = open_retriever("bm25", tmp_path / "0-bm25").search(["mining and fishing"], ["Midland"], 1)
    assert found[1][0].passage_id == single[0][0].passage_id


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retrievers": [{"name": "bm25"}]}, "at least two"),
        ({"retrievers": ["bm25", ["dense"]]}, r"(?s)valid dictionary or instance of Choice.*\['dense'\]"),
        ({"retrievers": [{"name": "bm25"}, {"name": "sparse"}]}, "unknown retriever 'sparse'"),
        ({"retrievers": [{"name": "bm25"}, {"name": "bm25", "k1": 1}]}, r"(?s)k1\n.*Extra inputs are not permitted"),
        ({"depth": 0}, "k must be at least 1"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        RETRIEVERS.build({"name": "hybrid", "options": options})
