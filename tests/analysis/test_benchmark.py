import json

import numpy as np
import pandas as pd
import pytest

from factalign import schemas
from factalign.analysis import (
    BenchmarkResult,
    benchmark_result,
    build_summary,
    claim_shares,
    pair_examples,
    render_report,
    response_metrics,
)
from factalign.analysis.benchmark import EXAMPLES


@pytest.fixture
def result(prompts, benchmark):
    """A function from changes of the tables to what is handed over."""

    def gather(seed=0, **changes):
        return benchmark_result(**{"prompts": prompts, **benchmark(0.5), **changes}, seed=seed)

    return gather


def test_nothing_is_lost_in_json(result, prompts, benchmark):
    tables = benchmark(0.5)
    scores = tables["scores"].assign(precision=[np.nan, 1 / 3] * 6, distinct_2=np.nan)
    written = json.dumps(result(scores=scores).to_json(), allow_nan=False)
    read = BenchmarkResult.from_json(json.loads(written))
    pd.testing.assert_frame_equal(read.metrics, response_metrics(scores), check_exact=True)
    shares = claim_shares(tables["claims"], tables["verdicts"], tables["responses"], prompts)
    assert list(read.claim_shares.items()) == list(shares.items())
    assert read.answers == result(scores=scores).answers


def test_what_the_judging_cost_is_handed_over_and_shown(result, benchmark):
    rows = []
    for stage, calls in (("extract", 3), ("verify", 5)):
        counts = dict.fromkeys(("failed_calls", "cached_items", "failed_items", "num_responses", "num_claims"), 0)
        tokens = {"items": 9, "input_tokens": 1200, "output_tokens": 300, "seconds": 1.5, "money": 0.25}
        shares = dict.fromkeys(("calls_per_response", "calls_per_claim", "money_per_response", "money_per_claim"))
        rows.append({"stage": stage, "model": "<judge>", "calls": calls, **counts, **tokens, **shares})
    costs = schemas.Costs.validate(pd.DataFrame(rows)[list(schemas.Costs.to_schema().columns)])
    read = BenchmarkResult.from_json(json.loads(json.dumps(result(costs=costs).to_json(), allow_nan=False)))
    assert read.costs[["stage", "calls", "input_tokens", "money"]].to_numpy().tolist() == [
        ["extract", 3, 1200, 0.25],
        ["verify", 5, 1200, 0.25],
    ]
    summary = build_summary({"base": read.metrics}, k=2, seed=0, resamples=100)
    page = render_report(summary, costs={"base": read.costs})
    assert "What the judging cost" in page
    assert "&lt;judge&gt;" in page
    assert "What the judging cost" not in render_report(summary, costs={"base": result().costs})


def test_a_model_without_a_supported_claim(result, benchmark):
    nothing = BenchmarkResult.from_json(json.loads(json.dumps(result(**benchmark(0.0)).to_json())))
    assert nothing.claim_shares.empty


def test_every_model_shows_the_same_prompts(result, benchmark, prompts):
    first, last = result(seed=3), result(**benchmark(1.0, seed=5), seed=3, prompts=prompts[::-1])
    assert list(first.answers) == list(last.answers)
    assert len(first.answers) == EXAMPLES
    assert len(pair_examples(first, last)) == EXAMPLES


def test_the_first_sample_is_shown(result, benchmark):
    responses = benchmark(0.5)["responses"]
    responses["text"] = responses["response_id"]
    shown = {answer.text for answer in result(responses=responses[::-1]).answers.values()}
    assert shown == set(responses.loc[responses["sample_index"] == 0, "text"])


def test_other_prompts_than_the_benchmarks_are_refused(result, benchmark, prompts):
    with pytest.raises(ValueError, match=r"benchmark's 4 prompts: 1 not answered \['p2'\]"):
        result(**benchmark(0.5, prompt_ids=[0, 1, 3]))
    with pytest.raises(ValueError, match=r"benchmark's 3 prompts: .* 1 of others \['p3'\]"):
        result(prompts=prompts.iloc[:3])
