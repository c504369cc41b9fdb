import json

import numpy as np
import pandas as pd
import pytest

from factalign.analysis import BenchmarkResult, benchmark_result, claim_shares, pair_examples, response_metrics
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
