"""Learning rates whose warm-up counts steps from 1, so that no step is taken with a rate of 0."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch.optim.lr_scheduler import LambdaLR, LRScheduler


def count_from_one(scheduler: LRScheduler, warmup: int) -> LRScheduler:
    """A schedule that is t/`warmup` of its peak in step t ≤ `warmup`, where that of transformers is (t - 1)/`warmup`.

    The steps after the warm-up keep their rates: those of transformers fall from the peak to just above their end.
    Schedules that follow a metric instead of the step are handed back as they are.

    Args:
        scheduler: One that no step was taken with yet.
        warmup: Steps in which the rate rises.
    """
    if not isinstance(scheduler, LambdaLR):
        return scheduler
    # Partials, unlike closures, are saved with checkpoints as what they are: without a state.
    return LambdaLR(scheduler.optimizer, [partial(_factor, each, warmup) for each in scheduler.lr_lambdas])


def _factor(factor: Callable[[int], float], warmup: int, done: int) -> float:
    """The factor of the step after `done` steps."""
    return factor(done + 1 if done < warmup else done)
