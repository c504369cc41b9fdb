"""What the policy says while it is trained: a few prompts answered greedily, their repetition and length, and limits.

Rewards can rise while answers grow repetitive or change their length; only answers show it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from accelerate.utils import gather_object
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from factalign.base.text import distinct_2, repeated_sentences, words
from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.greedy import greedy
from factalign.fkto.rows.data import Prompt, Row
from factalign.fkto.rows.spans import SpanEncoder
from factalign.fkto.run.progress import append_row, keep_rows

logger = logging.getLogger(__name__)

LIMITS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "stop_distinct_2_below": ("distinct_2", lambda ratio, limit: ratio < limit),
    "stop_length_change_above": ("mean_tokens", lambda ratio, limit: max(ratio, 1 / ratio) > limit),
}
"""Settings, the number that each limits, and when its ratio to the one before the first step crosses the limit."""


class Samples(TrainerCallback, ExportableState):
    """Samples before the first step and every `sample_steps`, writes `samples_log.jsonl`, and ends the training.

    All ranks share the prompts and come to the same decision. What the policy said before its first step is saved with
    checkpoints, so that the limits of a resumed run are relative to the same.

    Args:
        config: How often, how many, how long, and the limits.
        encoder: Turns prompts into tokens.
        rows: Where the prompts are taken from, evenly spread.
        stop_ids: Tokens that end a response.
        path: The log; a row holds step, distinct_2, repeated_sentences (shares), mean_tokens (the end of the turn too),
            ended_share (not cut off by `sample_max_new_tokens`), seconds and the samples.

    Attributes:
        stopped: Why the training was ended; None: it was not.
    """

    def __init__(
        self, config: FKTOConfig, encoder: SpanEncoder, rows: Sequence[Row], stop_ids: Collection[int], path: Path
    ) -> None:
        self._config, self._encoder, self._stop_ids, self._path = config, encoder, stop_ids, path
        distinct = {row.prompt: row.name for row in rows}
        chosen = list(distinct)[:: max(len(distinct) // config.sample_prompts, 1)][: config.sample_prompts]
        self._prompts = [(prompt, encoder.prompt_ids(prompt, distinct[prompt])) for prompt in chosen]
        self._first: dict[str, Any] | None = None
        self._new: dict[str, Any] = {}
        self.stopped: str | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: PreTrainedModel,
        **_: Any,
    ) -> None:
        """Take the samples that the limits are relative to, or have them from the checkpoint."""
        if state.is_world_process_zero:
            keep_rows(self._path, state.global_step)
        self.stopped = None
        saved = state.stateful_callbacks.get(type(self).__name__, {}) if state.global_step else {}
        self._first = saved.get("attributes", {}).get("first") or self._sample(args, state, model)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: PreTrainedModel,
        **_: Any,
    ) -> None:
        """Sample if it is time, and end the training if a limit is crossed."""
        if state.global_step % self._config.sample_steps:
            return
        row = self._sample(args, state, model)
        self._new = {f"sample_{name}": value for name, value in row.items() if name != "step"}
        self.stopped = self._crossed(row)
        if self.stopped is not None:
            logger.warning("%s; the training ends here", self.stopped)
            control.should_training_stop = control.should_log = True

    def state(self) -> dict[str, Any]:
        """What checkpoints keep."""
        return {"args": {}, "attributes": {"first": self._first}}

    def new_numbers(self) -> dict[str, Any]:
        """The numbers since the last call, for the training log."""
        new, self._new = self._new, {}
        return new

    def _sample(self, args: TrainingArguments, state: TrainerState, model: PreTrainedModel) -> dict[str, Any]:
        """The numbers of the policy as it is; the log gets them with the samples."""
        began = time.monotonic()
        own = list(enumerate(self._prompts))[args.process_index :: args.world_size]
        answers = greedy(
            model,
            [ids for _, (_, ids) in own],
            max_new_tokens=self._config.sample_max_new_tokens,
            stop_ids=self._stop_ids,
            batch_size=self._config.micro_batch_size,
        )
        made = [(place, self._shown(prompt, ids)) for (place, (prompt, _)), ids in zip(own, answers, strict=True)]
        samples = [sample for _, sample in sorted(gather_object(made), key=lambda each: each[0])]
        bigrams = [value for s in samples if not math.isnan(value := distinct_2(words(s["text"])))]
        row = {
            "step": state.global_step,
            "distinct_2": fmean(bigrams) if bigrams else None,
            "repeated_sentences": fmean(repeated_sentences(s["text"]) for s in samples),
            "mean_tokens": fmean(s["tokens"] for s in samples),
            "ended_share": fmean(s["ended"] for s in samples),
        }
        if state.is_world_process_zero:
            append_row(self._path, {**row, "seconds": time.monotonic() - began, "samples": samples})
            shown = " ".join(f"{name} {value:.3g}" for name, value in row.items() if value is not None)
            logger.info("samples: %s", shown)
        return row

    def _shown(self, prompt: Prompt, ids: list[int]) -> dict[str, Any]:
        text = self._encoder.tokenizer.decode(ids, skip_special_tokens=True)
        asked = prompt if isinstance(prompt, str) else [{"role": role, "content": said} for role, said in prompt]
        return {"prompt": asked, "text": text, "tokens": len(ids), "ended": ids[-1] in self._stop_ids}

    def _crossed(self, row: dict[str, Any]) -> str | None:
        """Which limit a row crosses, in words."""
        first = self._first
        for setting, (name, crosses) in LIMITS.items():
            limit = getattr(self._config, setting)
            if limit is None or row[name] is None or first is None or first[name] is None:
                continue
            ratio = row[name] / first[name]
            if crosses(ratio, limit):
                return (
                    f"step {row['step']}: {name} of the samples is {row[name]:.3g}, {ratio:.3g} times the "
                    f"{first[name]:.3g} of step {first['step']}, which crosses {setting} {limit:g}"
                )
        return None
