"""What a run says while it trains: one JSON row a log step, and a progress bar or, without a terminal, plain lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add one line of JSON to a log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def keep_rows(path: Path, step: int) -> None:
    """Keep the rows of a log up to `step`, from which training continues."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


class TrainingLog(TrainerCallback):
    """Appends log rows to files such as `training_log.jsonl`; a resumed run drops the rows after its checkpoint first.

    Args:
        files: Where the rows go that have a key: "loss", "eval_loss".
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = files

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Keep the rows up to the step that training continues from."""
        if not state.is_world_process_zero:
            return
        for path in self.files.values():
            keep_rows(path, state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Write one row."""
        for key, path in self.files.items():
            if state.is_world_process_zero and logs and key in logs:
                append_row(path, {"step": state.global_step, **logs})


class Progress(TrainerCallback):
    """A bar with the time left on a terminal; one line a log step in a log file."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._began = 0.0
        self._first_step = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock."""
        self._began, self._first_step = time.monotonic(), state.global_step
        if state.is_world_process_zero and sys.stderr.isatty():
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc="training", unit="step")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Advance."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Show the latest losses."""
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        shown = {
            name: f"{logs[name]:.4g}"
            for name in ("loss", "z0", "z0_sentence", "margin", "sentence_margin", "tokens_per_second")
            if logs.get(name) is not None
        }
        if self._bar is not None:
            self._bar.set_postfix(shown)
            return
        done = state.global_step - self._first_step
        left = (time.monotonic() - self._began) / max(done, 1) * (state.max_steps - state.global_step)
        details = " ".join(f"{name} {value}" for name, value in shown.items())
        print(f"step {state.global_step}/{state.max_steps} {details} time_left {left:.0f}s", flush=True)  # noqa: T201

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leave the terminal tidy."""
        if self._bar is not None:
            self._bar.close()
