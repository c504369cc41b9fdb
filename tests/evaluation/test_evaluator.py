import json
import logging
import math
from pathlib import Path

import pandas as pd
import pytest

from factalign import schemas
from factalign.analysis.metrics import METRICS
from factalign.base.registry import Choice
from factalign.corpora import TableCorpus
from factalign.evaluation import evaluate
from factalign.extraction import EXTRACTORS
from factalign.retrieval import RETRIEVERS
from factalign.verifiers import VERIFIERS

FACTS = {
    "Freedonia": "The capital of Freedonia is Glorystone. Freedonia exports mustard and copper.",
    "Sylvania": "The capital of Sylvania is Harpo. Sylvania borders Freedonia.",
}
ROWS = [
    {"prompt": "Freedonia?", "response": "The capital of Freedonia is Glorystone.", "topic": "Freedonia"},
    {"prompt": "Freedonia?", "response": "The capital of Freedonia is Venice.", "topic": "Freedonia"},
    {"prompt": "Sylvania?", "response": "", "topic": "Sylvania"},
    {"prompt": "Anything?", "response": "The capital of Sylvania is Harpo.", "topic": ""},
]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    lines = (json.dumps({"title": title, "text": text}) for title, text in FACTS.items())
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_one_call_gives_tables_that_join(corpus):
    result = evaluate(ROWS, corpus=corpus, k=1)
    for table, schema in (
        (result.sentences, schemas.Sentences),
        (result.claims, schemas.Claims),
        (result.evidence, schemas.Evidence),
        (result.verdicts, schemas.Verdicts),
        (result.scores, schemas.ResponseScores),
    ):
        schema.validate(table)
    assert result.scores["precision"].tolist() == pytest.approx([1, 0, math.nan, 1], nan_ok=True)
    assert set(result.evidence["passage_id"]) <= set(result.passages["passage_id"])


def test_a_row_without_a_topic_is_checked_against_the_whole_corpus(corpus):
    result = evaluate(ROWS[3:], corpus=corpus)
    titles = result.evidence.merge(result.passages, on="passage_id")["title"]
    assert set(titles) == set(FACTS)
    assert result.claims["text"].tolist() == ["The capital of Sylvania is Harpo"]
    assert result.verdicts["label"].tolist() == ["supported"]


def test_parts_by_name_or_ready_made(corpus):
    by_name = evaluate(ROWS, corpus=corpus)
    ready = evaluate(
        pd.DataFrame(ROWS),
        corpus=TableCorpus(corpus).passages(),
        retriever=RETRIEVERS.build({"name": "bm25", "options": {"k1": 1.2}}),
        extractor=EXTRACTORS.build("clause"),
        verifier=VERIFIERS.build({"name": "lexical", "options": {"coverage": 0.7}}),
    )
    chosen = evaluate(
        ROWS,
        corpus={"name": "table", "options": {"path": corpus}},
        retriever={"name": "bm25", "options": {"k1": 1.2}},
        extractor={"name": "clause"},
        verifier=Choice(name="lexical", options={"coverage": 0.7}),
    )
    pd.testing.assert_frame_equal(by_name.verdicts, ready.verdicts)
    pd.testing.assert_frame_equal(by_name.verdicts, chosen.verdicts)
    with pytest.raises(ValueError, match=r"valid names: .*lexical"):
        evaluate(ROWS, corpus=corpus, verifier="lexcal")


def test_a_corpus_is_found_by_its_path_or_named_as_missing(corpus, tmp_path):
    assert evaluate(ROWS, corpus=Path(corpus)).scores.equals(evaluate(ROWS, corpus=corpus).scores)
    for missing in (tmp_path / "none.jsonl", "none.jsonl"):
        with pytest.raises(ValueError, match=r"none\.jsonl: no such file of passages"):
            evaluate(ROWS, corpus=missing)
    with pytest.raises(ValueError, match="unknown corpus 'factbok'; valid names: factbook"):
        evaluate(ROWS, corpus="factbok")


def test_claims_are_read_with_the_aids_of_the_corpus(corpus, factbook_dir):
    rows = [{"prompt": "?", "response": "The country borders Eastland.", "topic": "Midland"}]
    factbook = {"name": "factbook", "options": {"data_dir": str(factbook_dir)}}
    assert evaluate(rows, corpus=factbook).claims["text"].tolist() == ["Midland borders Eastland"]
    assert evaluate(rows, corpus=corpus).claims["text"].tolist() == ["Midland: The country borders Eastland"]


def test_the_summary_by_hand(corpus):
    summary = evaluate(ROWS, corpus=corpus, k=1).summary(gamma=None, resamples=200)
    mean = {name: estimate["value"] for name, estimate in summary["metrics"].items()}
    # Over prompts: Freedonia's two answers average to 1/2, the empty one has no precision and abstains.
    assert mean["precision"] == pytest.approx((0.5 + 1) / 2)
    assert mean["f1_at_k"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert mean["factscore"] == pytest.approx((0.5 + 1) / 2)
    assert mean["response_ratio"] == pytest.approx(2 / 3)
    assert mean["abstention_share"] == pytest.approx(1 / 3)
    assert (summary["responses"], summary["prompts"], summary["claims"]) == (4, 3, 3)
    for estimate in summary["metrics"].values():
        assert estimate["low"] <= estimate["value"] <= estimate["high"]
    json.dumps(summary, allow_nan=False)


def test_the_summary_has_the_benchmarks_metrics(corpus):
    metrics = evaluate(ROWS, corpus=corpus, k=1).summary(resamples=10)["metrics"]
    assert set(metrics) == {*METRICS, "factscore", "response_ratio"}
    assert {name: estimate["unit"] for name, estimate in metrics.items()} == {
        **{name: metric.unit for name, metric in METRICS.items()}, "factscore": "share", "response_ratio": "share",
    }  # fmt: skip


def test_only_empty_answers(corpus):
    result = evaluate(ROWS[2:3], corpus=corpus)
    metrics = result.summary()["metrics"]
    assert metrics["precision"] == {"value": None, "low": None, "high": None, "n": 0, "unit": "share"}
    assert metrics["response_ratio"]["value"] == 0
    assert "(no text)" in result.html()


def test_a_topic_that_the_corpus_does_not_know_is_named(corpus, caplog):
    with caplog.at_level(logging.WARNING):
        evaluate([{**ROWS[0], "topic": "Fredonia"}], corpus=corpus)
    assert "no evidence at all for 1 topics (Fredonia)" in caplog.text
    caplog.clear()
    evaluate(ROWS, corpus=corpus)
    assert "no evidence" not in caplog.text


def test_the_report_is_written(corpus, tmp_path):
    result = evaluate(ROWS, corpus=corpus)
    result.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == result.html()
