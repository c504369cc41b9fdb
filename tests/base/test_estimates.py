import json

import numpy as np
import pandas as pd
import pytest

from factalign.base.estimates import Estimate, bootstrap_mean, estimates_of


@pytest.mark.parametrize(
    "estimate",
    [Estimate(0.5, 0.4, 0.6, n=80), Estimate(None, None, None), Estimate(1.25, -0.5, 3.0, 0.04, 12, "count")],
)
def test_json_and_back(estimate):
    assert Estimate.from_json(json.loads(json.dumps(estimate.to_json()))) == estimate


def test_text():
    assert Estimate(0.1444, 0.1182, 0.1697).text() == "0.144 [0.118, 0.170]"
    assert Estimate(0.5, 0.25, 0.75, unit="count").text(signed=True) == "+0.50 [+0.25, +0.75]"
    assert Estimate(None, None, None).text() == "– [–, –]"


def test_an_interval_that_touches_zero_resolves_nothing():
    assert [Estimate(1.0, low, 2.0).is_resolved for low in (0.1, 0.0, -0.1, None)] == [True, False, False, False]
    assert Estimate(-1.0, -2.0, -0.1).is_resolved


def test_estimates_of_a_bootstrap_count_the_groups_that_have_a_value():
    values = pd.DataFrame({"precision": [1.0, 0.0, np.nan], "words": [10.0, 20.0, 30.0]})
    found = estimates_of(bootstrap_mean(values, seed=0), {"words": "count"})
    assert (found["precision"].value, found["precision"].n, found["precision"].unit) == (0.5, 2, "share")
    assert (found["words"].value, found["words"].n, found["words"].unit) == (20.0, 3, "count")
