import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from factalign.annotation.correction import correct_policies, prediction_powered

REPLICATIONS = 300
TRUE = ("telling", "trivial")


def annotations(labels, reader="a"):
    return pd.DataFrame({"item_id": labels.index, "reader": reader, "label": labels.to_numpy()})


def drawn(key, labels):
    return annotations(labels[key.loc[key["drawn"], "item_id"]])


def truth(labels):
    true, telling, false = labels.isin(TRUE).mean(), (labels == "telling").mean(), (labels == "false").mean()
    return {"precision": true / (true + false), "true": true, "telling": telling, "false": false}


def test_intervals_cover_the_truth_as_often_as_they_say(synthetic):
    rng = np.random.default_rng(0)
    expected = {
        policy: truth(synthetic(rng, topics=20_000, quality=quality)[1])
        for policy, quality in {"base": 0.0, "iter_1": 0.6}.items()
    }
    hits: dict[tuple[str, str], int] = {}
    misses = 0
    for _ in range(REPLICATIONS):
        parts = [synthetic(rng, "base"), synthetic(rng, "iter_1", quality=0.6)]
        key, labels = (pd.concat(each) for each in zip(*parts, strict=True))
        base, last = correct_policies(key, drawn(key, labels))
        for metric, value in expected["iter_1"].items():
            change = value - expected["base"][metric]
            for kind, right in (("corrected", value), ("corrected_difference", change)):
                found = last[kind][metric]
                hits[kind, metric] = hits.get((kind, metric), 0) + (found["low"] <= right <= found["high"])
        verifier = base["verifier"]["precision"]
        misses += not verifier["low"] <= expected["base"]["precision"] <= verifier["high"]
    low, high = binom.interval(0.999, REPLICATIONS, 0.95)
    assert {name: count for name, count in hits.items() if not low <= count <= high} == {}
    assert misses > REPLICATIONS / 2  # the verifier alone is wrong


def test_intervals_are_narrower_than_those_of_labels_alone(synthetic):
    key, labels = synthetic(np.random.default_rng(1), read=100)
    (corrected,) = correct_policies(key, drawn(key, labels))
    read = key[key["drawn"]]
    (alone,) = correct_policies(read.assign(verdict="failed"), drawn(key, labels))
    width = {
        name: each["corrected"]["true"]["high"] - each["corrected"]["true"]["low"]
        for name, each in {"corrected": corrected, "alone": alone}.items()
    }
    assert width["corrected"] < width["alone"]


def test_all_labels_give_the_truth(synthetic):
    key, labels = synthetic(np.random.default_rng(2))
    (found,) = correct_policies(key, annotations(labels))
    for metric, value in truth(labels).items():
        assert found["corrected"][metric]["value"] == pytest.approx(value)
    assert found["corrected"]["precision"]["n"] == 40


def test_the_mean_is_that_of_the_paper_by_stratum():
    rng = np.random.default_rng(3)
    predicted, observed = rng.random((50, 1)), rng.random((50, 1))
    strata = np.repeat(["a", "b"], [30, 20])
    observed[[*range(10, 30), *range(35, 50)]] = np.nan
    gap = observed - predicted
    expected = predicted.mean() + 0.6 * np.nanmean(gap[:30]) + 0.4 * np.nanmean(gap[30:])
    assert prediction_powered(predicted, observed, strata).mean() == pytest.approx(expected)


def test_the_variance_is_that_of_the_paper():
    rng = np.random.default_rng(4)
    predicted, observed = rng.random((100_000, 1)), rng.random((100_000, 1))
    observed[400:] = np.nan
    outcomes = prediction_powered(predicted, observed, np.full(100_000, "a"))
    gap = (observed - predicted)[:400]
    expected = predicted.var() / 100_000 + gap.var(ddof=1) / 400
    assert outcomes.var() / 100_000 == pytest.approx(expected, rel=0.01)


def test_a_stratum_without_labels_joins_another():
    predicted, observed = np.zeros((10, 1)), np.full((10, 1), np.nan)
    observed[:2] = 1.0
    assert prediction_powered(predicted, observed, np.array(["a"] * 7 + ["b"] * 3)).mean() == 1.0
    assert prediction_powered(predicted, observed, np.array(["a"] * 3 + ["b"] * 7)).mean() == 1.0


def test_readers_who_disagree_count_half(synthetic):
    key, labels = synthetic(np.random.default_rng(5))
    everything = [annotations(pd.Series(label, index=labels.index), label) for label in ("telling", "false")]
    (found,) = correct_policies(key, pd.concat(everything))
    assert found["corrected"]["precision"]["value"] == pytest.approx(0.5)
    assert found["labelled"] == len(labels)


def test_nothing_is_corrected_without_labels(synthetic):
    key, labels = synthetic(np.random.default_rng(6))
    (found,) = correct_policies(key, annotations(labels.iloc[:1]))
    assert found["corrected"] == found["corrected_difference"] == {}
    assert found["verifier"]["precision"]["value"] > 0
