import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from factalign.calibration import measures
from factalign.calibration.fitting import choose_strength, fit, penalised_loss, topic_folds
from factalign.calibration.learning import best_threshold
from factalign.calibration.sentences import more_telling
from factalign.verifiers.calibrated.regression import Regression


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    labels = np.where(table["a"] + rng.normal(size=60) > 0, "yes", np.where(table["b"] > 0, "no", "none")).tolist()
    return table, labels


def test_the_loss_of_one_row_is_that_computed_by_hand():
    # Two classes, one feature x = 2, weights 0.5 and 0, no intercept: logits 1 and 0, P(first) = e / (e + 1).
    loss, gradient = penalised_loss(np.array([[0.5, 0.0], [0.0, 0.0]]), np.array([[2.0]]), np.array([[1.0, 0.0]]), 0.4)
    first = np.e / (np.e + 1)
    assert loss == pytest.approx(-np.log(first) + 0.2 * 0.25)
    wanted = [(first - 1) * 2 + 0.4 * 0.5, first - 1, (1 - first) * 2, 1 - first]
    assert gradient == pytest.approx(wanted)


def test_the_gradient_is_that_of_finite_differences(rows):
    table, labels = rows
    target = pd.get_dummies(pd.Categorical(labels)).to_numpy(dtype=float)
    weights = np.random.default_rng(1).normal(size=(3, 4))
    _, gradient = penalised_loss(weights, table.to_numpy(), target, 0.3)
    for position in range(weights.size):
        step = np.zeros(weights.size)
        step[position] = 1e-6
        up, down = (
            penalised_loss(weights + sign * step.reshape(3, 4), table.to_numpy(), target, 0.3)[0] for sign in (1, -1)
        )
        assert gradient[position] == pytest.approx((up - down) / 2e-6, abs=1e-6)


def test_one_yes_or_no_feature_gives_the_shares():
    table = pd.DataFrame({"seen": [0.0] * 10 + [1.0] * 10})
    labels = ["yes"] * 2 + ["no"] * 8 + ["yes"] * 7 + ["no"] * 3
    model = fit(table, labels, ("yes", "no"), 1e-9)
    assert model.probabilities(table)["yes"].to_numpy()[[0, 10]] == pytest.approx([0.2, 0.7], abs=1e-4)
    spread = (model.weights[0] - model.weights[1]) / model.scales
    assert spread == pytest.approx([logit(0.7) - logit(0.2)], abs=1e-2)


def test_a_constant_feature_and_a_strong_penalty_leave_the_shares_of_the_classes():
    table = pd.DataFrame({"same": [3.0] * 8, "noise": [0.0, 1.0] * 4})
    found = fit(table, ["yes"] * 6 + ["no"] * 2, ("yes", "no"), 1e3).probabilities(table)
    assert found["yes"].to_numpy() == pytest.approx([0.75] * 8, abs=1e-3)


def test_a_class_without_rows_is_refused(rows):
    with pytest.raises(ValueError, match=r"rows of each class.*'maybe': 0"):
        fit(rows[0], rows[1], ("yes", "no", "none", "maybe"), 0.1)


def test_json_brings_the_model_back(rows):
    model = fit(*rows, ("yes", "no", "none"), 0.01)
    back = Regression.from_json(json.loads(json.dumps(model.to_json())))
    assert back.strength == 0.01
    pd.testing.assert_frame_equal(back.probabilities(rows[0]), model.probabilities(rows[0]), rtol=1e-12)


@pytest.mark.parametrize("change", [{"classes": None}, {"intercepts": {}}, {"features": {"a": {"mean": 0}}}])
def test_json_of_something_else_is_refused(rows, change):
    with pytest.raises(ValueError, match="not a regression"):
        Regression.from_json({**fit(*rows, ("yes", "no", "none"), 0.01).to_json(), **change})


def test_no_topic_is_in_two_folds_and_noise_is_penalised(rows):
    topics = [f"t{number // 3}" for number in range(60)]
    folds = topic_folds(topics, 5, 0)
    assert pd.DataFrame({"topic": topics, "fold": folds}).groupby("topic")["fold"].nunique().max() == 1
    random = np.random.default_rng(2).permutation(rows[1]).tolist()
    strength, unseen = choose_strength(rows[0], random, ("yes", "no", "none"), folds, (1e-6, 10.0))
    assert strength == 10.0
    assert unseen.index.equals(rows[0].index)
    with pytest.raises(ValueError, match="21 folds need as many topics, got 20"):
        topic_folds(topics, 21, 0)


def test_measures_are_those_computed_by_hand():
    topic = np.array([0, 0, 1, 1])
    score = np.array([0.9, 0.4, 0.6, 0.4])
    truth = np.array([True, True, False, False])
    weights = np.array([[1.0, 1.0], [2.0, 0.0]])
    # Pairs: .9>.6, .9>.4, .4<.6, .4=.4; a draw without the second topic has no pair.
    assert measures.auroc(weights, topic, score, truth, ~truth) == pytest.approx([2.5 / 4, np.nan], nan_ok=True)
    kinds = np.array([7, 8, 7, 8])
    assert measures.auroc(weights, topic, score, truth, ~truth, kinds)[0] == pytest.approx(1.5 / 2)
    found = measures.decisions(weights, topic, score > 0.5, truth)
    assert found[0] == pytest.approx([0.5, 0.5, 0.0])
    assert measures.calibration_error(weights, topic, score, truth)[0] == pytest.approx(
        (abs(0.9 - 1) + abs(0.8 - 1) + 0.6) / 4
    )


def test_more_telling_counts_outcomes():
    assert more_telling([0.5], [0.3]) == pytest.approx(0.5)
    # One more telling than false: (t, t), (t, none), (none, t).
    assert more_telling([0.5, 0.4], [0.3, 0.2]) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4 + 0.2 * 0.4)


def test_the_threshold_divides_the_classes():
    threshold = best_threshold(np.array([0.1, 0.2, 0.6, 0.7]), np.array([False, False, True, True]))
    assert 0.2 < threshold <= 0.6
