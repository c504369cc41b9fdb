import json

import numpy as np
import pytest

from factalign.evaluation.formulas import f1_at_k, factscore, precision, recall_at_k


def test_f1_at_k_by_hand():
    # 60 of 80 facts right, K = 64 (the median of SAFE's evaluated set): P = 3/4, R = 60/64.
    assert f1_at_k(60, 20, k=64) == pytest.approx(2 * 0.75 * 0.9375 / (0.75 + 0.9375))
    # More than K right facts do not make it more complete; precision still counts.
    assert f1_at_k(128, 0, k=64) == 1
    assert f1_at_k(100, 100, k=64) == pytest.approx(2 * 0.5 / 1.5)
    assert f1_at_k([0, 0], [5, 0], k=4).tolist() == [0, 0]


def test_precision_and_recall():
    assert precision([3, 0], [1, 0]).tolist() == pytest.approx([0.75, np.nan], nan_ok=True)
    assert recall_at_k([0, 2, 9], 4).tolist() == [0, 0.5, 1]
    with pytest.raises(ValueError, match="k must be at least 1"):
        f1_at_k(1, 1, k=0)


def test_factscore_by_hand():
    assert factscore(6, 2, 2) == pytest.approx(0.6)  # irrelevant facts are not supported ones
    assert factscore(12, 12) == pytest.approx(0.5)
    assert factscore(5, 0) == pytest.approx(np.exp(1 - 10 / 5))
    assert factscore(5, 0, gamma=None) == 1
    assert factscore(1, 1, gamma=2) == pytest.approx(0.5)
    assert np.isnan(factscore(0, 0))


@pytest.mark.parametrize(
    ("model", "score", "responding"),
    # "ChatGPT only achieves 58%" (abstract); the shares of prompts with an annotated answer.
    [("ChatGPT", 0.583, 0.858), ("InstructGPT", 0.428, 0.989)],
)
def test_factscore_of_the_human_labels_is_the_papers(external_data, model, score, responding):
    lines = (external_data / "factscore" / f"{model}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line)["annotations"] or [] for line in lines]
    labels = [[fact["label"] for part in row for fact in part["human-atomic-facts"] or []] for row in rows]
    counts = np.array([[row.count(label) for label in ("S", "NS", "IR")] for row in labels])
    scores = factscore(*counts.T, gamma=None)
    own = [row.count("S") / len(row) for row in labels if row]
    assert scores[~np.isnan(scores)].tolist() == pytest.approx(own)
    assert np.nanmean(scores) == pytest.approx(score, abs=0.0005)
    assert 1 - np.isnan(scores).mean() == pytest.approx(responding, abs=0.0005)
    penalised = factscore(*counts.T, gamma=20)
    many = counts.sum(axis=1) >= 20
    assert penalised[many].tolist() == pytest.approx(scores[many].tolist())
    few = (counts.sum(axis=1) < 20) & (scores > 0)
    assert few.any()
    assert (penalised[few] < scores[few]).all()
