import json
import logging

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from factalign import schemas
from factalign.preference import PreferenceConfig, build_preferences, summarise_preferences
from factalign.preference.labels import balance, is_repetitive, label_responses, label_sentences

UNBALANCED = {"balance": False}


def make(f1_scores, *, shares=None, coverage=1.0, texts=None, prompts=1, repetition=False):
    """Tables of one response a score; each has one sentence a share of `shares` ("Sentence 0.", …)."""
    n = len(f1_scores)
    shares = [1.0] if shares is None else shares
    own = " ".join(f"Sentence {i}." for i in range(len(shares)))
    texts = texts or [own] * n
    prompt_rows = [
        {
            "prompt_id": f"p{i}",
            "messages": np.array([{"role": "user", "content": f"Question {i}?"}], dtype=object),
            "topic": f"t{i}",
            "aspect": "a",
            "source": "s",
            "split": "train",
        }
        for i in range(prompts)
    ]
    responses = pd.DataFrame(
        {
            "response_id": [f"r{i}" for i in range(n)],
            "prompt_id": [f"p{i % prompts}" for i in range(n)],
            "sample_index": range(n),
            "text": texts,
            "finish_reason": "stop",
            "num_tokens": 4,
            "policy_id": "x",
            "seed": 0,
        }
    )
    scores = pd.DataFrame(dict.fromkeys(schemas.ResponseScores.to_schema().columns, 0), index=range(n)).assign(
        response_id=responses["response_id"],
        prompt_id=responses["prompt_id"],
        f1_at_k=f1_scores,
        coverage=coverage,
    )
    sentences, sentence_scores = [], []
    for i in range(n):
        for j, share in enumerate(shares):
            start = own.index(f"Sentence {j}.")
            end = start + len(f"Sentence {j}.")
            identity = {"sentence_id": f"s{i}-{j}", "response_id": f"r{i}"}
            sentences.append({**identity, "index": j, "start": start, "end": end, "text": own[start:end]})
            counts = {"num_supported": 0, "num_not_supported": 0, "num_failed": 0}
            sentence_scores.append({**identity, **counts, "supported_share": share, "is_repetition": repetition})
    return (
        schemas.Prompts.validate(pd.DataFrame(prompt_rows)),
        schemas.Responses.validate(responses),
        schemas.Sentences.validate(pd.DataFrame(sentences)) if sentences else schemas.empty(schemas.Sentences),
        schemas.ResponseScores.validate(scores),
        schemas.SentenceScores.validate(pd.DataFrame(sentence_scores))
        if sentences
        else schemas.empty(schemas.SentenceScores),
    )


def labels_of(f1_scores, **parameters):
    tables = make(f1_scores)
    return label_responses(tables[1], tables[3], PreferenceConfig(**parameters)).tolist()


def test_quantile_thirds():
    assert labels_of([0.9, 0.1, 0.5, 0.2, 0.8, 0.6]) == [True, False, None, False, True, None]


def test_equal_scores_get_equal_labels():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 4, size=rng.integers(2, 20)) / 4
        by_score = {}
        for score, label in zip(scores, labels_of(list(scores)), strict=True):
            assert by_score.setdefault(score, label) is label
        if len(set(scores)) > 1:
            assert by_score[scores.min()] is False
            assert by_score[scores.max()] is True


def test_all_equal_scores_give_no_labels_and_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert labels_of([0.3] * 5) == [None] * 5
    assert "no response labels" in caplog.text


def test_threshold_rule():
    rule = {"rule": "threshold", "threshold": 0.5}
    assert labels_of([0.5, 0.51, 0.0], response_label=rule) == [False, True, False]


def test_failed_evaluation_gives_no_label():  # a defect of the published FactAlign code
    tables = make([0.0, 0.9, 0.5], coverage=[0.0, 1.0, 1.0])
    labels = label_responses(tables[1], tables[3], PreferenceConfig())
    assert labels.tolist() == [None, True, False]
    scores = tables[4].assign(supported_share=np.nan, num_failed=2)
    assert label_sentences(scores, 0.5).tolist() == [None] * 3


def test_sentence_labels():
    scores = make([0.0], shares=[0.5, 0.49, None, 1.0])[4]
    assert label_sentences(scores, 0.5).tolist() == [True, False, None, True]
    assert label_sentences(scores.assign(is_repetition=True), 0.5).tolist() == [False] * 4


def test_repetitive_response_is_undesirable_whatever_its_score():
    phrase = "one two three four five six seven eight nine ten "
    tables = make([1.0, 0.5, 0.0], texts=[phrase * 7, "fine", "bad"], coverage=[0.0, 1.0, 1.0])
    assert label_responses(tables[1], tables[3], PreferenceConfig()).tolist() == [False, True, False]


def test_ten_gram_rule_is_more_than_five_times():
    unit = " ".join(f"w{i}" for i in range(10))
    text = " ".join(f"{unit} x{i}" for i in range(5))
    assert not is_repetitive(text, 10, 5)
    assert is_repetitive(text + " " + unit.upper() + "!", 10, 5)
    assert not is_repetitive("", 10, 5)
    assert not is_repetitive("short text", 10, 5)


def test_balance_is_seeded_and_exact():
    labels = [True] * 3 + [False] * 9 + [None] * 2
    first, again = (balance(labels, np.random.default_rng(1), "x") for _ in range(2))
    assert first == again
    assert (first.count(True), first.count(False)) == (3, 3)
    assert first[:3] == [True] * 3
    assert balance([False, None], np.random.default_rng(0), "x") == [False, None]


def test_rows_have_the_published_format_and_exact_spans():
    tables = make([0.9, 0.5, 0.1], shares=[1.0, None, 0.0])
    rows = build_preferences(*tables, PreferenceConfig(**UNBALANCED), seed=0)
    assert json.loads(json.dumps(rows)) == rows
    assert [row["label"] for row in rows] == [True, None, False]
    row = rows[0]
    assert row["prompt"] == [{"role": "user", "content": "Question 0?"}]
    assert row["completion"][0]["role"] == "assistant"
    assert row["sentence_label"] == [True, None, False]
    content = row["completion"][0]["content"]
    assert [content[start:end] for start, end in row["sentence_spans"]] == row["completion_sentences"]
    assert set(row) == {
        "prompt", "completion", "label", "completion_sentences", "sentence_label", "sentence_spans",
        "response_id", "prompt_id", "finish_reason",
    }  # fmt: skip


def test_every_sample_of_a_prompt_becomes_a_row():  # a defect of the published FactAlign code
    rows = build_preferences(*make([0.1, 0.2, 0.8, 0.9], prompts=1), PreferenceConfig(**UNBALANCED), seed=0)
    assert [row["response_id"] for row in rows] == ["r0", "r1", "r2", "r3"]


def test_rows_without_any_label_or_text_are_dropped(caplog):
    tables = make([0.9, 0.5, 0.0, 0.0], shares=[None], texts=["a", "b", "c", " "])
    with caplog.at_level(logging.INFO):
        rows = build_preferences(*tables, PreferenceConfig(**UNBALANCED), seed=0)
    assert [row["response_id"] for row in rows] == ["r0", "r2"]
    assert "2 without text or label" in caplog.text


def test_responses_without_sentences():
    tables = make([0.9, 0.1], shares=[], texts=["a", "b"])
    rows = build_preferences(*tables, PreferenceConfig(), seed=0)
    assert [(row["label"], row["sentence_label"], row["sentence_spans"]) for row in rows] == [
        (True, None, None),
        (False, None, None),
    ]


def test_no_responses_at_all():
    prompts, *_ = make([0.5])
    empty = [
        schemas.empty(t) for t in (schemas.Responses, schemas.Sentences, schemas.ResponseScores, schemas.SentenceScores)
    ]
    assert build_preferences(prompts, *empty, PreferenceConfig(max_rows=3), seed=0) == []
    assert summarise_preferences([])["rows"] == 0


def test_both_levels_are_balanced():
    tables = make([0.0] * 6 + [0.5] * 2, shares=[1.0, 0.0, 0.0, 0.0])
    rows = build_preferences(*tables, PreferenceConfig(), seed=3)
    summary = summarise_preferences(rows)
    assert (summary["responses"]["desirable"], summary["responses"]["undesirable"]) == (2, 2)
    assert summary["sentences"]["desirable"] == summary["sentences"]["undesirable"] == 8


def test_max_rows_takes_both_classes_in_equal_parts():
    tables = make(list(np.linspace(0, 1, 60)), prompts=6)
    for seed in (0, 1):
        rows = build_preferences(*tables, PreferenceConfig(max_rows=20, **UNBALANCED), seed=seed)
        assert [row["label"] for row in rows].count(True) == 10
        assert [row["label"] for row in rows].count(False) == 10
        again = build_preferences(*tables, PreferenceConfig(max_rows=20, **UNBALANCED), seed=seed)
        assert rows == again
    other = build_preferences(*tables, PreferenceConfig(max_rows=20, **UNBALANCED), seed=0)
    assert rows != other


def test_max_rows_fills_up_with_what_is_left():
    tables = make(list(np.linspace(0, 1, 9)))
    rows = build_preferences(*tables, PreferenceConfig(max_rows=8, **UNBALANCED), seed=0)
    assert [row["label"] for row in rows].count(None) == 2


def test_summary_shows_the_length_confound():  # a defect of the published FactAlign code
    tables = make([0.9, 0.1], shares=[], texts=["word " * 30, "word " * 20])
    config = PreferenceConfig(repetition_ngram=100)
    summary = summarise_preferences(build_preferences(*tables, config, seed=0))
    assert summary["responses"]["mean_words_desirable"] == 30
    assert summary["responses"]["mean_words_undesirable"] == 20
    assert summary["responses"]["length_ratio"] == 1.5
    json.dumps(summary, allow_nan=False)


def test_missing_parts_are_named():
    prompts, responses, sentences, scores, sentence_scores = make([0.9, 0.1])
    config = PreferenceConfig()
    with pytest.raises(ValueError, match=r"response 'r0': no prompt has prompt_id 'p0'"):
        build_preferences(prompts.iloc[:0], responses, sentences, scores, sentence_scores, config, seed=0)
    with pytest.raises(ValueError, match="response 'r1' has no row in response_scores"):
        build_preferences(prompts, responses, sentences, scores.iloc[:1], sentence_scores, config, seed=0)
    with pytest.raises(ValueError, match="sentence 's1-0' has no row in sentence_scores"):
        build_preferences(prompts, responses, sentences, scores, sentence_scores.iloc[:1], config, seed=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"respons_label": {}},
        {"response_label": {"rule": "median"}},
        {"response_label": {"rule": "quantile", "low": 0.7, "high": 0.3}},
        {"response_label": {"rule": "quantile", "threshold": 0.3}},
        {"sentence_threshold": 2},
        {"max_rows": 0},
    ],
)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValidationError):
        PreferenceConfig(**bad)
