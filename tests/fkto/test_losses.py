"""The objective on rewards."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from factalign.fkto.config import Normalisation
from factalign.fkto.losses import class_weights, k3, kto_losses, nll_sum, reference_point, segment_rewards, segment_sum


def test_loss_follows_the_formula() -> None:
    rewards = torch.tensor([2.0, -1.0, 0.5])
    labels = torch.tensor([True, False, False])
    losses = kto_losses(rewards, labels, torch.tensor(0.3), beta=0.2, weights=(1.5, 0.5))

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    expected = [
        1.5 * (1 - sigmoid(0.2 * (2.0 - 0.3))),
        0.5 * (1 - sigmoid(-0.2 * (-1.0 - 0.3))),
        0.5 * (1 - sigmoid(-0.2 * (0.5 - 0.3))),
    ]
    assert losses.tolist() == pytest.approx(expected)


def test_a_soft_label_is_two_weighted_labels() -> None:
    rewards, z0 = torch.tensor([2.0]), torch.tensor(0.5)

    def loss(label: bool | float) -> float:
        return kto_losses(rewards, torch.tensor([label]), z0, beta=0.2, weights=(1.5, 0.5)).item()

    # 1.5 (1 - σ(0.3)) = 0.638336, 0.5 (1 - σ(-0.3)) = 0.287221
    assert (loss(True), loss(False)) == pytest.approx((0.638336, 0.287221), abs=1e-5)
    assert loss(0.8) == pytest.approx(0.8 * 0.638336 + 0.2 * 0.287221, abs=1e-5)


def test_negative_log_likelihood_by_hand() -> None:
    logps = torch.tensor([-1.0, -0.5, -3.0, -2.0], requires_grad=True)
    # A response of two tokens that counts 2, one of one token that counts 0.4, one that counts nothing.
    total = nll_sum(logps, torch.tensor([2.0, 2.0, 0.4, 0.0]))
    assert total.item() == pytest.approx(2 * 1.5 + 0.4 * 3)
    total.backward()
    assert logps.grad is not None and logps.grad.tolist() == pytest.approx([-2, -2, -0.4, 0])


def test_k3_by_hand() -> None:
    found = k3(torch.tensor([0.0, math.log(2), -math.log(2)], dtype=torch.float64))
    assert found.tolist() == pytest.approx([0, 0.5 - 1 + math.log(2), 2 - 1 - math.log(2)])


def test_no_gradient_flows_through_the_reference_point() -> None:
    z0 = torch.tensor(0.3, requires_grad=True)
    rewards = torch.tensor([2.0], requires_grad=True)
    kto_losses(rewards, torch.tensor([True]), z0, 0.1, (1.0, 1.0)).sum().backward()
    assert z0.grad is None
    assert rewards.grad is not None and rewards.grad.item() < 0


def test_reference_point_is_never_negative_and_never_nan() -> None:
    """FactAlign defect 5: without sentences among the KL rows z0_s is NaN and the sentence loss vanishes."""
    assert reference_point(torch.tensor(6.0), torch.tensor(3.0)) == 2
    assert reference_point(torch.tensor(-6.0), torch.tensor(3.0)) == 0
    assert reference_point(torch.tensor(0.0), torch.tensor(0.0)) == 0


def test_segment_sum_leaves_negative_segments_out() -> None:
    sums = segment_sum(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([0, -1, 2, 0]), 4)
    assert sums.tolist() == [9, 0, 4, 0]
    assert segment_sum(torch.zeros(0), torch.zeros(0, dtype=torch.long), 0).shape == (0,)


@pytest.mark.parametrize(
    ("normalisation", "expected"), [("none", [6.0, -3.0, 0.0]), ("sqrt", [3.0, -3.0, 0.0]), ("token", [1.5, -3.0, 0.0])]
)
def test_rewards_may_be_divided_by_length(normalisation: Normalisation, expected: list[float]) -> None:
    gain = torch.tensor([1.0, 2.0, 7.0, -1.0, 4.0, -3.0])
    segment = torch.tensor([0, 0, -1, 0, 0, 1])
    assert segment_rewards(gain, segment, 3, normalisation).tolist() == expected


def test_auto_weights_balance_the_classes() -> None:
    weights = class_weights("auto", "auto", [(True, 1.0)] * 3 + [(False, 1.0)] * 9, "response")
    assert weights == pytest.approx((2.0, 12 / 18))
    assert weights[0] * 3 == pytest.approx(weights[1] * 9)
    assert (weights[0] * 3 + weights[1] * 9) / 12 == pytest.approx(1)


def test_auto_weights_count_weights() -> None:
    # 2·1 + 1·0.5 desirable against 4·1 + 1·0.5 undesirable, 7 in all.
    labels = [(True, 2.0), (False, 4.0), (0.5, 1.0)]
    assert class_weights("auto", "auto", labels, "response") == pytest.approx((7 / 5, 7 / 9))
    scaled = [(label, 8 * weight) for label, weight in labels]
    assert class_weights("auto", "auto", scaled, "response") == class_weights("auto", "auto", labels, "response")
    assert class_weights("auto", "auto", [(True, 0.0)], "response") == (1.0, 1.0)


@pytest.mark.parametrize("labels", [[], [True], [False, False]])
def test_auto_weights_of_one_class_are_one(labels: list[bool]) -> None:
    assert class_weights("auto", "auto", [(label, 1.0) for label in labels], "response") == (1.0, 1.0)


@pytest.mark.parametrize(
    ("weights", "warned"), [((1.0, 1.0), True), ((3.0, 1.0), False), ((4.0, 1.0), False), ((4.2, 1), True)]
)
def test_weights_outside_the_advised_range_warn(
    caplog: pytest.LogCaptureFixture, weights: tuple[float, float], warned: bool
) -> None:
    with caplog.at_level(logging.WARNING):
        assert class_weights(*weights, [(True, 1.0)] + [(False, 1.0)] * 3, "sentence") == weights
    assert bool(caplog.records) is warned
