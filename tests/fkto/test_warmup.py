"""Every step has a learning rate, the log says which, and a resumed run has the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast, TrainerCallback
from transformers.trainer_utils import SchedulerType

from factalign.fkto import FKTOTrainer

from .test_trainer import assert_same, killed, log_rows, make_trainer, trained

METRIC_DRIVEN = {SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY}
NEEDED: dict[str, dict[str, Any]] = {
    "cosine_with_min_lr": {"min_lr_rate": 0.1},
    "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1},
    "warmup_stable_decay": {"num_decay_steps": 4},
}


def rates(trainer: FKTOTrainer, steps: int) -> list[float]:
    """The learning rates of a run of `steps` steps, without training."""
    trainer.create_optimizer()
    scheduler = trainer.create_scheduler(steps)
    assert trainer.create_scheduler(steps) is scheduler
    found = []
    for _ in range(steps):
        found.append(trainer.optimizer.param_groups[0]["lr"])
        trainer.optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("name", sorted(set(SchedulerType) - METRIC_DRIVEN))
@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.25])
def test_no_step_is_wasted(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str, ratio: float) -> None:
    trainer = make_trainer(tokenizer, tmp_path, warmup_ratio=ratio, scheduler=str(name.value))
    trainer.args.lr_scheduler_kwargs = NEEDED.get(name.value)
    found = [rate / 0.3 for rate in rates(trainer, 12)]
    assert min(found) > 0
    if name == SchedulerType.CONSTANT or (name == SchedulerType.COSINE_WARMUP_WITH_MIN_LR and not ratio):
        return
    warmup = {0.0: 1, 0.1: 2, 0.25: 3}[ratio]
    assert found[:warmup] == pytest.approx([(t + 1) / warmup for t in range(warmup)])
    assert max(found) == found[warmup - 1]
    if name == SchedulerType.LINEAR and ratio == 0.25:
        assert found[warmup:] == pytest.approx([left / 9 for left in range(9, 0, -1)])


class _Rates(TrainerCallback):
    """Writes down the rate that each step is really taken with."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        self.found.append(optimizer.param_groups[0]["lr"])


def test_the_log_says_the_rate_of_its_step_also_after_a_resume(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    changes = {"warmup_ratio": 0.7, "scheduler": "linear", "epochs": 2}
    used, used_after = _Rates(), _Rates()
    whole = make_trainer(tokenizer, tmp_path / "whole", **changes)
    whole.add_callback(used)
    expected = trained(whole)
    assert [row["learning_rate"] for row in log_rows(whole)] == used.found == pytest.approx([0.1, 0.2, 0.3, 0.3])
    changes = killed(tokenizer, tmp_path / "broken", **changes)
    resumed = make_trainer(tokenizer, tmp_path / "broken", **changes)
    resumed.add_callback(used_after)
    assert_same(trained(resumed), expected, atol=0)
    assert used_after.found == used.found[2:]
    assert [row["learning_rate"] for row in log_rows(resumed)] == used.found
