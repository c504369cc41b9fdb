"""The best checkpoint by an evaluation, and the end of a run that finds no better one."""

from __future__ import annotations

from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

from factalign.fkto.run.samples import Samples


class Patience(EarlyStoppingCallback):
    """Ends a run after some evaluations without a better one; a resumed run goes on counting where it was."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Count from 0, or as the checkpoint says."""
        saved = state.stateful_callbacks.get(type(self).__name__) if state.global_step else None
        self.early_stopping_patience_counter = saved["attributes"]["early_stopping_patience_counter"] if saved else 0


def outcome(
    state: TrainerState, metric: str | None, patience: Patience | None, samples: Samples | None
) -> dict[str, Any]:
    """What `result.json` says of the end: why training `ended`, and the `best` step, whose weights are the result."""
    if samples is not None and samples.stopped:
        ended = samples.stopped
    elif state.global_step >= state.max_steps:
        ended = "all steps were taken"
    elif patience is not None and patience.early_stopping_patience_counter >= patience.early_stopping_patience:
        ended = f"{metric} was not better in {patience.early_stopping_patience} evaluations"
    else:
        ended = "a callback ended it"
    best = {"step": state.best_global_step, "metric": metric, "value": state.best_metric} if metric else None
    return {"ended": ended, "best": best}
