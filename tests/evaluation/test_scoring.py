import numpy as np
import pandas as pd
import pytest

from factalign import schemas
from factalign.evaluation.scores import score_responses, score_sentences


def tables(response_texts, sentences=(), claims=(), verdicts=()):
    """Sentences: (id, response, index, text); claims: (id, sentence, response, duplicate of)."""
    responses = [
        {
            "response_id": name,
            "prompt_id": f"prompt-{name}",
            "sample_index": 0,
            "text": text,
            "finish_reason": "stop",
            "num_tokens": len(text.split()),
            "policy_id": "policy",
            "seed": 0,
        }
        for name, text in response_texts.items()
    ]
    names = {
        schemas.Responses: responses,
        schemas.Sentences: [
            {"sentence_id": i, "response_id": r, "index": n, "start": 0, "end": len(t), "text": t}
            for i, r, n, t in sentences
        ],
        schemas.Claims: [
            {"claim_id": i, "sentence_id": s, "response_id": r, "text": i, "duplicate_of": d} for i, s, r, d in claims
        ],
        schemas.Verdicts: [
            {"claim_id": i, "label": label, "confidence": 1.0, "passage_id": None, "verifier_id": "v"}
            for i, label in verdicts
        ],
    }
    return [table.validate(pd.DataFrame(rows)) if rows else schemas.empty(table) for table, rows in names.items()]


def one_response(*labels, duplicates=0):
    """One sentence with a claim for each label (None: no verdict) and repeats of the first claim."""
    claims = [(f"c{i}", "s", "r", None) for i in range(len(labels))]
    claims += [(f"d{i}", "s", "r", "c0") for i in range(duplicates)]
    verdicts = [(f"c{i}", label) for i, label in enumerate(labels) if label]
    return tables({"r": "some words here"}, [("s", "r", 0, "some words here")], claims, verdicts)


def test_counts_and_formulas():
    labels = ["supported"] * 3 + ["not_supported"] * 2 + ["irrelevant", "failed"]
    score = score_responses(*one_response(*labels), k=4).iloc[0]
    assert score["precision"] == pytest.approx(3 / 5)
    assert score["recall_at_k"] == pytest.approx(3 / 4)
    assert score["f1_at_k"] == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    assert score["coverage"] == pytest.approx(6 / 7)
    assert (score["num_claims"], score["num_irrelevant"], score["num_failed"]) == (7, 1, 1)


def test_recall_is_capped():
    assert score_responses(*one_response(*["supported"] * 5), k=4).iloc[0]["f1_at_k"] == 1.0


def test_duplicates_are_counted_once():
    tables_ = one_response("supported", "not_supported", duplicates=8)
    score = score_responses(*tables_, k=4).iloc[0]
    assert (score["num_claims"], score["num_duplicates"], score["num_supported"]) == (2, 8, 1)
    assert score["precision"] == 0.5
    assert score["coverage"] == 1.0


def test_a_verdict_on_a_duplicate_changes_nothing():
    responses, sentences, claims, verdicts = one_response("supported", duplicates=1)
    extra = pd.concat([verdicts, verdicts.assign(claim_id="d0", label="not_supported")], ignore_index=True)
    assert score_responses(responses, sentences, claims, extra, k=4).iloc[0]["precision"] == 1.0


def test_failed_evaluation_never_counts_as_false():  # a defect of the published FactAlign code
    failed = score_responses(*one_response("supported", "failed"), k=4).iloc[0]
    absent = score_responses(*one_response("supported", None), k=4).iloc[0]
    for score in (failed, absent):
        assert score["precision"] == 1.0
        assert score["coverage"] == 0.5
        assert score["num_failed"] == 1
    everything = score_responses(*one_response("failed", "failed"), k=4).iloc[0]
    assert np.isnan(everything["precision"])
    assert (everything["f1_at_k"], everything["coverage"]) == (0.0, 0.0)


def test_irrelevant_claims_stay_out_of_responses_and_sentences_alike():  # a defect of the published FactAlign code
    tables_ = one_response("supported", "irrelevant", "irrelevant")
    assert score_responses(*tables_, k=4).iloc[0]["precision"] == 1.0
    assert score_sentences(*tables_[1:]).iloc[0]["supported_share"] == 1.0


def test_no_sentences_no_claims_and_empty_tables():
    score = score_responses(*tables({"r": ""}), k=4).iloc[0]
    assert np.isnan(score["precision"])
    assert np.isnan(score["distinct_2"])
    assert (score["f1_at_k"], score["coverage"], score["num_sentences"], score["num_words"]) == (
        0.0,
        1.0,
        0,
        0,
    )
    empty = tables({})
    assert score_responses(*empty, k=4).empty
    assert score_sentences(*empty[1:]).empty


def test_order_follows_the_responses():
    tables_ = tables(
        {"b": "x", "a": "y", "c": "z"}, [("s", "a", 0, "y")], [("c1", "s", "a", None)], [("c1", "supported")]
    )
    scores = score_responses(*tables_, k=1)
    assert scores["response_id"].tolist() == ["b", "a", "c"]
    assert scores["num_supported"].tolist() == [0, 1, 0]


def test_sentence_scores():
    sentences = [("s0", "r", 0, "A."), ("s1", "r", 1, "B."), ("s2", "r", 2, "C.")]
    claims = [("c0", "s0", "r", None), ("c1", "s0", "r", None), ("c2", "s1", "r", None)]
    verdicts = [("c0", "supported"), ("c1", "not_supported"), ("c2", "failed")]
    scores = score_sentences(*tables({"r": "A. B. C."}, sentences, claims, verdicts)[1:])
    assert scores["supported_share"].tolist()[0] == 0.5
    assert scores["supported_share"].isna().tolist() == [False, True, True]
    assert scores["num_failed"].tolist() == [0, 1, 0]


def test_repetition_by_words_within_one_response_only():
    sentences = [
        ("s0", "r", 0, "Peru is large."),
        ("s1", "r", 2, "PERU is  large!"),
        ("s2", "r", 1, "Large is Peru."),
        ("s3", "q", 0, "Peru is large."),
        ("s4", "q", 1, "!!!"),
        ("s5", "q", 2, "???"),
    ]
    shuffled = [sentences[i] for i in (1, 0, 5, 3, 2, 4)]
    scores = score_sentences(*tables({"r": "x", "q": "y"}, shuffled)[1:]).set_index("sentence_id")
    assert scores.index[scores["is_repetition"]].tolist() == ["s1"]


def test_repetition_when_all_claims_were_made_before():
    sentences = [
        ("s0", "r", 0, "A."),
        ("s1", "r", 1, "Again A."),
        ("s2", "r", 2, "A and B."),
        ("s3", "r", 3, "Hm."),
    ]
    claims = [("a", "s0", "r", None), ("a1", "s1", "r", "a"), ("a2", "s2", "r", "a"), ("b", "s2", "r", None)]
    scores = score_sentences(*tables({"r": "x"}, sentences, claims, [("a", "supported"), ("b", "supported")])[1:])
    assert scores["is_repetition"].tolist() == [False, True, False, False]
    assert np.isnan(scores["supported_share"].iloc[1])


@pytest.mark.parametrize(
    ("text", "num_words", "distinct_2"),
    [
        ("the cat the cat", 4, 2 / 3),
        ("1,200 km² – don't 😀 stop", 4, 1.0),
        ("हिन्दी में लिखा हिन्दी में लिखा", 6, 3 / 5),
        ("北京北京", 4, 2 / 3),
        ("word", 1, None),
        ("😀😀 \n …", 0, None),
    ],
)
def test_words_and_distinct_2_of_any_script(text, num_words, distinct_2):
    score = score_responses(*tables({"r": text}), k=1).iloc[0]
    assert score["num_words"] == num_words
    assert np.isnan(score["distinct_2"]) if distinct_2 is None else score["distinct_2"] == pytest.approx(distinct_2)


def test_long_texts_are_fine():
    text = "many words " * 50_000
    score = score_responses(*tables({"r": text}, [("s", "r", 0, text)]), k=1).iloc[0]
    assert score["num_words"] == 100_000


def test_bad_input_is_named():
    responses, sentences, claims, verdicts = one_response("supported")
    with pytest.raises(ValueError, match="k must be at least 1"):
        score_responses(responses, sentences, claims, verdicts, k=0)
    with pytest.raises(ValueError, match=r"verdicts: 1 of 1 rows have a claim_id .*'other'"):
        score_responses(responses, sentences, claims, verdicts.assign(claim_id="other"), k=4)
    with pytest.raises(ValueError, match="claims: 1 of 1 rows have a sentence_id"):
        score_sentences(sentences, claims.assign(sentence_id="other"), verdicts)
