import numpy as np
import pandas as pd
import pytest

from factalign.analysis import sign_flip_p_values
from factalign.base import estimates as bootstrap
from factalign.base.estimates import bootstrap_mean, prompt_means


def frame(*columns):
    return pd.DataFrame({f"m{i}": column for i, column in enumerate(columns)}, dtype="float64")


def test_interval_agrees_with_theory_and_with_scipy():
    from scipy import stats

    values = np.random.default_rng(0).normal(2.0, 1.0, size=200)
    estimate = bootstrap_mean(frame(values), seed=1, resamples=10_000).loc["m0"]
    standard_error = values.std(ddof=0) / np.sqrt(len(values))
    assert estimate["value"] == pytest.approx(values.mean())
    assert estimate["low"] == pytest.approx(values.mean() - 1.96 * standard_error, abs=0.1 * standard_error)
    peer = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=2).confidence_interval
    assert (estimate["low"], estimate["high"]) == pytest.approx((peer.low, peer.high), abs=0.1 * standard_error)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    samples = frame(*rng.exponential(1.0, size=(400, 60)))
    estimates = bootstrap_mean(samples, seed=0, resamples=1000)
    covered = ((estimates["low"] <= 1.0) & (estimates["high"] >= 1.0)).mean()
    assert 0.88 < covered < 0.98


def test_samples_of_a_prompt_count_as_one_observation():
    rng = np.random.default_rng(0)
    effects = np.repeat(rng.normal(size=30), 50)
    metrics = pd.DataFrame({"prompt_id": np.repeat([f"p{i}" for i in range(30)], 50), "m": effects})
    clustered = bootstrap_mean(prompt_means(metrics), seed=0).loc["m"]
    naive = bootstrap_mean(metrics[["m"]], seed=0).loc["m"]
    assert clustered["value"] == pytest.approx(naive["value"])
    assert clustered["high"] - clustered["low"] > 5 * (naive["high"] - naive["low"])


def test_a_prompt_with_more_samples_weighs_no_more():
    metrics = pd.DataFrame({"prompt_id": ["a", "a", "a", "b"], "response_id": list("wxyz"), "m": [1.0, 1.0, 1.0, 0.0]})
    assert bootstrap_mean(prompt_means(metrics), seed=0).loc["m", "value"] == 0.5


def test_missing_values_are_left_out_not_counted_as_zero():
    metrics = pd.DataFrame({"prompt_id": list("aabbcc"), "m": [1.0, np.nan, 0.5, 0.5, np.nan, np.nan]})
    means = prompt_means(metrics)
    assert means["m"].tolist()[:2] == [1.0, 0.5]
    estimate = bootstrap_mean(means, seed=0).loc["m"]
    assert estimate["value"] == 0.75
    assert 0.5 <= estimate["low"] <= estimate["high"] <= 1.0


def test_metric_without_any_value_and_no_prompts():
    estimate = bootstrap_mean(frame([np.nan, np.nan], [1.0, 1.0]), seed=0)
    assert estimate.loc["m0", ["value", "low", "high"]].isna().all()
    assert estimate.loc["m1"].tolist() == [1.0, 1.0, 1.0, 2]
    assert bootstrap_mean(frame([]), seed=0).loc["m0", ["value", "low", "high"]].isna().all()
    assert sign_flip_p_values(frame([]), seed=0).isna().all()


def test_seeded_and_independent_of_block_size(monkeypatch):
    values = frame(np.random.default_rng(0).normal(size=40), np.arange(40))
    whole = bootstrap_mean(values, seed=5), sign_flip_p_values(values, seed=5)
    monkeypatch.setattr(bootstrap, "_BLOCK_CELLS", 1000)
    pieces = bootstrap_mean(values, seed=5), sign_flip_p_values(values, seed=5)
    pd.testing.assert_frame_equal(whole[0], pieces[0])
    pd.testing.assert_series_equal(whole[1], pieces[1])
    assert not bootstrap_mean(values, seed=6).equals(whole[0])


def test_sign_flip_p_value_is_exact_on_a_small_case():
    # Of the 2**4 sign patterns of four equal differences, two reach the observed mean.
    p_values = sign_flip_p_values(frame([0.1] * 4, [0.0] * 4, [np.nan, 0.1, 0.1, 0.1]), seed=0, resamples=20_000)
    assert p_values.tolist() == pytest.approx([2 / 16, 1.0, 2 / 8], abs=0.01)


def test_sign_flip_is_uniform_without_an_effect_and_small_with_one():
    rng = np.random.default_rng(0)
    null = sign_flip_p_values(frame(*rng.normal(size=(300, 40))), seed=0, resamples=500)
    assert 0.02 < (null < 0.05).mean() < 0.09
    assert sign_flip_p_values(frame(rng.normal(1.0, 1.0, size=60)), seed=0).iloc[0] == pytest.approx(1 / 5001)
