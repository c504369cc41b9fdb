import json

import numpy as np
import pytest

from factalign.analysis import build_summary, format_table, response_metrics

REQUIRED = {
    "precision", "f1_at_k", "supported_claims", "judged_claims", "coverage", "num_words", "duplicate_share",
    "distinct_2",
}  # fmt: skip


def summarise(scores, **options):
    metrics = {name: response_metrics(table) for name, table in scores.items()}
    return build_summary(metrics, k=2, **{"seed": 0, "resamples": 500, **options})


def test_shape_of_the_file(benchmark):
    scores = {"iter_1": benchmark(0.9, seed=1)["scores"], "base": benchmark(0.1)["scores"]}
    summary = summarise(scores)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert {key: summary[key] for key in ("prompts", "samples_per_prompt", "k", "seed")} == {
        "prompts": 4, "samples_per_prompt": 3, "k": 2, "seed": 0,
    }  # fmt: skip
    base, last = summary["models"]
    assert (base["name"], last["name"]) == ("base", "iter_1")
    assert base["difference_to_base"] == {}
    assert set(base["metrics"]) >= REQUIRED
    assert set(last["difference_to_base"]) == set(last["metrics"])
    for name in REQUIRED:
        assert set(base["metrics"][name]) == {"value", "low", "high", "n", "unit"}
        change = last["difference_to_base"][name]
        assert change["value"] == pytest.approx(last["metrics"][name]["value"] - base["metrics"][name]["value"])
        assert 0 < change["p_value"] <= 1


def test_precision_is_the_mean_of_responses_with_a_judged_claim(benchmark):
    scores = benchmark(1.0)["scores"]
    first = scores["prompt_id"] == "p0"
    scores.loc[first, "precision"] = [np.nan, 0.5, np.nan]
    metrics = summarise({"base": scores})["models"][0]["metrics"]
    assert metrics["precision"]["value"] == pytest.approx((0.5 + 1 + 1 + 1) / 4)


def test_missing_metrics_become_null(benchmark):
    tables = benchmark(1.0)
    scores = tables["scores"].assign(precision=np.nan, num_supported=0, num_not_supported=0, num_claims=0)
    summary = summarise({"base": scores, "iter_1": tables["scores"]})
    json.dumps(summary, allow_nan=False)
    assert summary["models"][0]["metrics"]["precision"] == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "unit": "share",
    }
    assert summary["models"][0]["metrics"]["abstention_share"]["value"] == 1.0
    assert summary["models"][1]["difference_to_base"]["precision"].get("p_value") is None
    assert "–" in format_table(summary)


def test_a_failed_evaluation_is_no_abstention(benchmark):
    tables = benchmark(1.0)
    scores = tables["scores"].assign(num_supported=0, num_failed=2)
    assert response_metrics(scores)["abstention_share"].eq(0).all()


def test_difference_is_paired(benchmark):
    base = benchmark(0.5)["scores"].assign(f1_at_k=[0.0] * 3 + [0.3] * 3 + [0.6] * 3 + [0.8] * 3)
    last = base.assign(f1_at_k=base["f1_at_k"] + 0.1)
    change = summarise({"base": base, "iter_1": last})["models"][1]["difference_to_base"]["f1_at_k"]
    assert (change["low"], change["high"]) == pytest.approx((0.1, 0.1))


def test_different_prompts_are_refused(benchmark):
    scores = {"base": benchmark(0.5)["scores"], "iter_1": benchmark(0.5, prompt_ids=[0, 1, 3])["scores"]}
    with pytest.raises(ValueError, match=r"'iter_1' .* 1 not answered \['p2'\]"):
        summarise(scores)
    with pytest.raises(ValueError, match=r"'iter_1' .* 1 of others \['p2'\]"):
        summarise({"base": scores["iter_1"], "iter_1": scores["base"]})
    with pytest.raises(ValueError, match="no model is named 'base'; got iter_1"):
        summarise({"iter_1": scores["base"]})


def test_same_seed_same_summary(benchmark):
    scores = {"base": benchmark(0.2)["scores"], "iter_1": benchmark(0.8, seed=1)["scores"]}
    assert summarise(scores) == summarise(scores)
    assert summarise(scores, seed=1) != summarise(scores)


def test_table_has_a_line_a_metric_and_marks_what_excludes_zero(benchmark):
    scores = {"base": benchmark(0.0)["scores"], "iter_1": benchmark(1.0, seed=1)["scores"]}
    summary = summarise(scores)
    lines = format_table(summary).splitlines()
    assert "4 prompts, 3 samples each" in lines[0]
    precision = [line for line in lines if line.startswith("Precision")]
    assert precision[0].split() == ["Precision", "0.000", "[0.000,", "0.000]", "1.000", "[1.000,", "1.000]"]
    assert precision[1].endswith("+1.000 [+1.000, +1.000]*")
    assert not next(line for line in reversed(lines) if line.startswith("Coverage")).endswith("*")
    assert any(line.startswith("F1@2") for line in lines)
    assert "difference" not in format_table(summarise({"base": scores["base"]}))
