import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from factalign.audit import agreement_difference, verifier_agreement
from factalign.audit.agreement import confusion, reliability


def tables(rows):
    """Claims and verdicts of rows (group, given label, found label, confidence)."""
    frame = pd.DataFrame(rows, columns=["group", "given", "label", "confidence"])
    frame["claim_id"] = [f"c{number}" for number in range(len(frame))]
    verdicts = frame[["claim_id", "label", "confidence"]].iloc[::-1]
    return frame[["claim_id", "group"]].assign(label=frame["given"]), verdicts


def by_metric(estimates):
    return {name: estimate.value for name, estimate in estimates.items()}


S, N, X, F = "supported", "not_supported", "irrelevant", "failed"


def test_metrics_by_hand():
    claims, verdicts = tables(
        [("a", S, S, 0.9), ("a", N, S, 0.7), ("b", S, F, 0.0), ("b", X, X, 0.8), ("c", N, N, 0.9), ("c", N, N, 0.6)]
    )
    assert by_metric(verifier_agreement(claims, verdicts)) == pytest.approx(
        {
            "accuracy": 4 / 6,
            "balanced_accuracy": (1 / 2 + 2 / 3) / 2,
            # Scores of supported: .9, .5 (failed); of not supported: .7, .1, .4: five of six pairs are in order.
            "auroc": 5 / 6,
            "precision_supported": 1 / 2,
            "recall_supported": 1 / 2,
            "f1_supported": 1 / 2,
            "precision_not_supported": 1.0,
            "recall_not_supported": 2 / 3,
            "youden_j": 1 / 2 + 2 / 3 - 1,
            # Bins .6: .6 right; .7: .7 wrong; .8: .8 right; .9: .9, .9 both right.
            "ece": (0.4 + 0.7 + 0.2 + 0.2) / 5,
            "kappa": (4 / 6 - (2 * 2 + 3 * 2 + 1 * 1) / 36) / (1 - 11 / 36),
            "coverage": 5 / 6,
        }
    )
    assert confusion(claims, verdicts)[S] == {S: 1, N: 0, X: 0, F: 1}
    assert reliability(claims, verdicts)[-1] == {"confidence": pytest.approx(0.9), "accuracy": 1.0, "claims": 2}


def random_tables(count, seed=0, groups=50):
    rng = np.random.default_rng(seed)
    given = rng.choice([S, N], size=count)
    found = np.where(rng.random(count) < 0.7, given, rng.choice([S, N, X, F], size=count))
    group = rng.integers(groups, size=count).astype(str)
    return tables(list(zip(group, given, found, rng.random(count), strict=True)))


@pytest.mark.parametrize("count", [300, 8000])  # below and above the number of scores that are told apart
def test_auroc_is_that_of_mann_and_whitney(count):
    claims, verdicts = random_tables(count)
    both = claims.merge(verdicts, on="claim_id", suffixes=("", "_found"))
    c = both["confidence"]
    score = c.where(both["label_found"] == S, (1 - c).where(both["label_found"] == N, (1 - c) / 2))
    score = score.where(both["label_found"] != F, 0.5)
    positive, negative = score[both["label"] == S], score[both["label"] == N]
    expected = mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
    assert by_metric(verifier_agreement(claims, verdicts, resamples=1))["auroc"] == pytest.approx(expected, abs=1e-3)


def test_a_draw_is_what_drawing_rows_gives():
    claims, verdicts = random_tables(200, groups=8)
    estimates = verifier_agreement(claims, verdicts, resamples=4000, seed=1)
    rng = np.random.default_rng(2)
    groups = {name: part.index for name, part in claims.groupby("group")}
    accuracy, indexed = [], verdicts.set_index("claim_id")["label"]
    right = (claims["label"] == indexed.reindex(claims["claim_id"]).to_numpy()).to_numpy()
    for _ in range(4000):
        drawn = np.concatenate([groups[name] for name in rng.choice(list(groups), size=len(groups))])
        accuracy.append(right[drawn].mean())
    low, high = np.quantile(accuracy, [0.025, 0.975])
    assert estimates["accuracy"].low == pytest.approx(low, abs=0.01)
    assert estimates["accuracy"].high == pytest.approx(high, abs=0.01)
    assert all(each.low <= each.value <= each.high for name, each in estimates.items() if name != "ece")


def test_the_interval_is_over_groups():
    rows = [(f"t{group}", S, S if group % 2 else F, 0.9) for group in range(10) for _ in range(20)]
    accuracy = verifier_agreement(*tables(rows))["accuracy"]
    # Ten groups that are each all right or all wrong: a standard error of 0.16, not that of 200 claims.
    assert accuracy.high - accuracy.low > 0.4
    assert (accuracy.n, accuracy.unit) == (10, "share")
    assert verifier_agreement(*tables(rows)) == verifier_agreement(*tables(rows))


def test_differences_are_paired():
    claims, verdicts = random_tables(400)
    same = agreement_difference(claims, verdicts, verdicts)
    assert {(each.value, each.low, each.high) for each in same.values()} == {(0, 0, 0)}
    one_better = verdicts.copy()
    wrong = claims.merge(verdicts, on="claim_id").query("label_x != label_y")["claim_id"].iloc[0]
    right = claims.set_index("claim_id").loc[wrong, "label"]
    one_better.loc[one_better["claim_id"] == wrong, "label"] = right
    accuracy = agreement_difference(claims, one_better, verdicts)["accuracy"]
    assert accuracy.value == pytest.approx(1 / 400)
    assert 0 <= accuracy.low <= accuracy.high < 0.02  # far narrower than the interval of either


def test_nothing_to_count_is_missing():
    assert set(by_metric(verifier_agreement(*tables([]))).values()) == {None}
    only = by_metric(verifier_agreement(*tables([("a", X, X, 0.5)])))
    assert only["precision_supported"] is None
    assert only["accuracy"] == 1


def test_bad_input():
    claims, verdicts = tables([("a", S, S, 0.5)])
    with pytest.raises(ValueError, match="1 claims need one verdict each, got 2"):
        verifier_agreement(claims, pd.concat([verdicts, verdicts]))
    with pytest.raises(ValueError, match="1 claims need one verdict each"):
        verifier_agreement(claims, verdicts.assign(claim_id="other"))
    with pytest.raises(ValueError, match="unknown label 'true'"):
        verifier_agreement(claims, verdicts.assign(label="true"))
