"""The objective's own numbers of a log row."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from accelerate.utils import send_to_device
from torch import Tensor

from factalign.fkto.rows.batches import StepBatch
from factalign.fkto.run.monitor import Metrics


def batch(device: str = "cpu") -> StepBatch:
    """Three rows, of which the last has no label and only fills up, and three sentences."""
    batch: Any = {
        "rows": {
            "sentence_labels": torch.tensor([1.0, 0.0, 1.0]),
            "sentence_weights": torch.ones(3),
            "size": 3,
            "of_row": torch.tensor([0, 0, 1, 2]),
            "reference": torch.tensor([-1.0, -1.0, -0.5, 0.0]),
        },
        "ends": torch.tensor([1]),
        "tokens": 50,
        "labelled": torch.tensor([0, 1]),
        "labels": torch.tensor([1.0, 0.0]),
        "label_weights": torch.ones(2),
        "counting": torch.tensor([0, 1]),
        "z0": torch.tensor(0.5),
        "z0_sentence": torch.tensor(0.25),
    }
    return send_to_device(batch, device)


def add(metrics: Metrics, step: int, device: str = "cpu") -> None:
    rewards, sentences = torch.tensor([1.0, -2.0, 9.0]).to(device), torch.tensor([1.0, -4.0, 2.0]).to(device)
    losses = tuple(torch.tensor(x).to(device) for x in (0.5, 0.75, 0.125, 2.25))
    logps, entropies = torch.tensor([-1.0, -2.0, -0.5, -9.0]).to(device), torch.tensor([0.5, 1.0, 1.5, 9.0]).to(device)
    metrics.add_tokens(batch(device), logps.requires_grad_(), entropies)
    metrics.add(batch(device), rewards.requires_grad_(), sentences.requires_grad_(), losses, step)


def test_a_row_holds_means_since_the_last_row() -> None:
    metrics = Metrics(0.1, 0.2, torch.device("cpu"))
    asked: list[Tensor] = []

    def over_ranks(values: Tensor) -> Tensor:
        asked.append(values)
        return 2 * values

    add(metrics, 0)
    add(metrics, 0)
    row = metrics.row(1, over_ranks)
    assert len(asked) == 1
    expected = {
        "response_loss": 2.0, "sentence_loss": 3.0, "nll_loss": 0.5, "router_loss": 9.0, "z0": 0.5,
        "z0_sentence": 0.25,
        "reward_desirable": 0.1, "num_desirable": 4, "reward_undesirable": -0.2, "num_undesirable": 4, "margin": 0.3,
        "sentence_reward_desirable": 0.3, "sentence_num_desirable": 8, "sentence_reward_undesirable": -0.8,
        "sentence_num_undesirable": 4, "sentence_margin": 1.1, "abs_reward_at_start": 1.5, "tokens": 200,
        # Three tokens count; the second alone has left the reference, d = -1, and ends a turn.
        "mean_logp": -3.5 / 3, "mean_entropy": 1.0, "reference_kl": (math.e - 2) / 3, "end_logp": -2.0,
    }  # fmt: skip
    assert {key: row[key] for key in expected} == pytest.approx(expected)
    assert metrics.abs_reward_at_start == pytest.approx(1.5)
    add(metrics, 1)
    row = metrics.row(1, lambda values: values)
    assert (row["response_loss"], row["num_desirable"], row["tokens"]) == (0.5, 1, 50)
    assert "abs_reward_at_start" not in row


def test_means_of_classes_are_weighted() -> None:
    metrics = Metrics(0.1, 0.2, torch.device("cpu"))
    inputs = batch()
    inputs["labels"], inputs["label_weights"] = torch.tensor([0.75, 0.0]), torch.tensor([4.0, 2.0])
    inputs["rows"]["sentence_weights"] = torch.tensor([3.0, 1.0, 0.0])
    zero = torch.tensor(0.0)
    metrics.add(inputs, torch.tensor([1.0, -2.0, 9.0]), torch.tensor([1.0, -4.0, 2.0]), (zero, zero, zero, zero), 0)
    row = metrics.row(1, lambda values: values)
    expected = {
        "num_desirable": 1, "reward_desirable": 0.1, "num_undesirable": 2, "reward_undesirable": 0.1 * (1 - 4) / 3,
        "sentence_num_desirable": 2, "sentence_reward_desirable": 0.2, "sentence_reward_undesirable": -0.8,
    }  # fmt: skip
    assert {key: row[key] for key in expected} == pytest.approx(expected)


def test_a_micro_batch_asks_the_device_for_no_number() -> None:
    """Tensors on the meta device have no numbers: whatever would copy one to the host, or wait for one, is an error."""
    metrics = Metrics(0.1, 0.2, torch.device("meta"))
    add(metrics, 0, "meta")
    with pytest.raises(NotImplementedError, match="meta"):
        metrics.row(1, lambda values: values)
