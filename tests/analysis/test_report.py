import math
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from factalign.analysis import (
    benchmark_result,
    build_summary,
    claim_drift,
    claim_shares,
    drift_warnings,
    metrics_figure,
    pair_examples,
    render_report,
    response_metrics,
    training_figure,
)


def shares(tables, prompts):
    return claim_shares(tables["claims"], tables["verdicts"], tables["responses"], prompts)


@pytest.fixture
def models(benchmark):
    return {"base": benchmark(0.2), "iter_1": benchmark(0.6, seed=1), "iter_2": benchmark(1.0, seed=2)}


@pytest.fixture
def summary(models):
    metrics = {name: response_metrics(tables["scores"]) for name, tables in models.items()}
    return build_summary(metrics, k=2, seed=0, resamples=500)


@pytest.fixture
def examples(models, prompts):
    """A function of the seed."""

    def pairs(seed=0):
        return pair_examples(*(benchmark_result(prompts, **models[name], seed=seed) for name in ("base", "iter_2")))

    return pairs


def test_claims_are_compared_without_the_topic(models, prompts):
    last = shares(models["iter_2"], prompts)
    assert last["_ is a sovereign state"] == 1.0
    drift = claim_drift(shares(models["base"], prompts), last, top=1)
    assert list(drift.columns) == ["pattern", "base", "last", "difference"]
    assert drift["difference"].iloc[0] == pytest.approx(1.0 - drift["base"].iloc[0])


def test_a_claim_made_twice_in_a_response_counts_once(models, prompts):
    tables = models["iter_2"]
    again = tables["claims"].assign(claim_id="again-" + tables["claims"]["claim_id"])
    verdicts = tables["verdicts"].assign(claim_id=again["claim_id"])
    doubled = {
        "claims": pd.concat([tables["claims"], again]),
        "verdicts": pd.concat([tables["verdicts"], verdicts]),
    }
    assert shares({**tables, **doubled}, prompts).max() == 1.0


def test_no_supported_claims(benchmark, prompts):
    nothing = shares(benchmark(0.0), prompts)
    assert nothing.empty
    assert claim_drift(nothing, nothing).empty


def test_warnings_name_what_got_worse(summary, prompts, models):
    assert drift_warnings(summary) == []
    for name, mean in (
        ("num_words", -4.0),
        ("duplicate_share", 0.2),
        ("distinct_2", 0.2),
        ("abstention_share", 0.1),
    ):
        summary["models"][-1]["difference_to_base"][name] = {
            "value": mean,
            "low": mean,
            "high": mean,
            "p_value": 0.01,
        }
    drift = claim_drift(shares(models["base"], prompts), shares(models["iter_2"], prompts))
    text = "\n".join(drift_warnings(summary, drift))
    assert "length" in text
    assert "repeated" in text
    assert "nothing to check" in text
    assert "sovereign" in text
    assert "repetitive in wording" not in text  # distinct-2 rose


def test_metrics_figure_shows_intervals_and_resolved_differences(summary):
    figure = metrics_figure(summary)
    titles = [annotation.text for annotation in figure.layout.annotations]
    for title in (
        "Precision",
        "F1@2",
        "Supported claims",
        "Coverage",
        "Length (words)",
        "Duplicate claims",
        "Distinct-2",
    ):
        assert f"<b>{title}</b>" in titles
    precision = figure.data[0]
    assert list(precision.x) == ["base", "iter_1", "iter_2"]
    estimate = summary["models"][1]["metrics"]["precision"]
    assert precision.y[1] + precision.error_y.array[1] == pytest.approx(estimate["high"])
    assert precision.y[1] - precision.error_y.arrayminus[1] == pytest.approx(estimate["low"])
    assert precision.marker.color[0] == "white"
    assert precision.marker.color[2] != "white"


def test_figure_of_the_base_alone_with_missing_values(benchmark):
    scores = benchmark(1.0)["scores"].assign(precision=math.nan)
    metrics_figure(build_summary({"base": response_metrics(scores)}, k=2, seed=0, resamples=10)).to_json()


def test_training_figure_takes_what_the_log_has():
    rows = [
        {"step": 1, "loss": 0.5, "reward_desirable": 0.2, "margin": None},
        {
            "step": 2,
            "loss": 0.4,
            "reward_desirable": 0.3,
            "reward_undesirable": -0.1,
            "margin": 0.4,
            "z0": None,
        },
        {"train_runtime": 3.0},
    ]
    traces = training_figure(rows).data
    assert {trace.name: list(trace.y) for trace in traces} == {
        "total": [0.5, 0.4],
        "desirable": [0.2, 0.3],
        "undesirable": [-0.1],
        "responses": [0.4],
    }
    assert list(traces[2].x) == [2]
    assert not training_figure([]).data


def test_report_is_self_contained_and_escapes_text(summary, models, prompts, examples):
    drift = claim_drift(shares(models["base"], prompts), shares(models["iter_2"], prompts))
    page = render_report(summary, drift=drift, examples=examples())
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Describe &lt;b&gt;Oman" in page
    assert "src=" not in page
    assert page.count("<section>") == 4
    with_figures = render_report(
        summary, figures={"Metrics <1>": metrics_figure(summary), "Training": training_figure([])}
    )
    assert "<script src=" not in with_figures
    assert "<h2>Metrics &lt;1&gt;</h2>" in with_figures
    assert with_figures.count("Plotly.newPlot(") >= 2


def test_examples_are_seeded_and_mark_judged_sentences(summary, examples):
    pairs = examples(seed=1)
    assert pairs == examples(seed=1)
    assert [before.prompt for before, _ in pairs] == [after.prompt for _, after in pairs]
    assert [before.prompt for before, _ in pairs] != [before.prompt for before, _ in examples(seed=2)]
    after = pairs[0][1]
    assert [supported for _, _, supported in after.marks] == [True, True]
    assert after.text[after.marks[1][0] : after.marks[1][1]].startswith("It has")
    assert "2 of 2 judged claims supported" in after.caption
    page = render_report(summary, examples=pairs[:2])
    assert page.count('title="mostly supported"') >= 4


def test_surrogates_and_long_answers_in_a_report(summary, examples):
    before, after = examples()[0]
    odd = replace(after, text="x" * 100_000, caption="", marks=((0, 90_000, True),))
    page = render_report(summary, examples=[(replace(before, prompt="\ud83d question"), odd)])
    page.encode("utf-8")
    assert len(page) < 60_000


@pytest.mark.parametrize("package", ["analysis", "preference"])
def test_packages_import_nothing_heavy(package):
    code = f"import sys, factalign.{package}; print({{'torch', 'plotly', 'scipy', 'pandas'}} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"
