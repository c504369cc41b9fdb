"""Checkpoints know the run that they belong to: only this run continues from them, and only this run deletes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from transformers.trainer import TRAINER_STATE_NAME

from factalign.base.ids import content_hash
from factalign.fkto import argument_names
from factalign.fkto.config import FKTOConfig
from factalign.fkto.rows.data import Row

IDENTITY_NAME = "run_identity.json"
UNDECIDING = {
    "logit_chunk", "checkpoint_activations_above", "trunk_cache_gib", "reference_cache_dir", "max_bad_rows",
    "logging_steps", "eval_steps", "save_steps", "save_total_limit", "resume", "report_to",
    "sample_steps", "sample_prompts", "sample_max_new_tokens", "stop_distinct_2_below", "stop_length_change_above",
}  # fmt: skip
"""Settings that say where, how often or within which memory something is done, but not with which result."""


def run_identity(
    rows: Sequence[Row],
    tokenizer: str,
    model: str,
    config: FKTOConfig,
    seed: int,
    ranks: int,
    eval_rows: Sequence[Row] | None = None,
) -> dict[str, Any]:
    """What decides the result of a run, as `run_identity.json` holds it.

    Args:
        rows: The data; names do not count.
        tokenizer: `SpanEncoder.fingerprint`.
        model: Hash of the policy as it was handed over.
        config: The choices.
        seed: The seed.
        ranks: The number of processes.
        eval_rows: The rows that are judged; with `best_metric` they decide, and how often.
    """
    undeciding = dict.fromkeys(UNDECIDING, True) | {"training_arguments": argument_names.UNDECIDING}
    if config.best_metric:
        del undeciding["eval_steps"]
    return {
        "rows": _hash(rows),
        "eval_rows": _hash(eval_rows) if eval_rows is not None and config.best_metric else None,
        "tokenizer": tokenizer,
        "model": model,
        "seed": seed,
        "ranks": ranks,
        "config": config.model_dump(mode="json", exclude=undeciding),
    }


def _hash(rows: Sequence[Row]) -> str:
    return content_hash([astuple(replace(row, name="")) for row in rows])


class Checkpoints:
    """The checkpoints in an output folder.

    Args:
        folder: The output folder.
        identity: `run_identity` of the run that may use them.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self.identity = identity

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.folder / f"checkpoint-{step}"

    def begin(self, step: int) -> None:
        """Sign the checkpoint of a step before it is written; one of another run in its place counts no more."""
        path = self.path(step)
        path.mkdir(parents=True, exist_ok=True)
        (path / TRAINER_STATE_NAME).unlink(missing_ok=True)
        (path / IDENTITY_NAME).write_text(json.dumps(self.identity, indent=2) + "\n", encoding="utf-8")

    def newest(self) -> str | None:
        """The newest complete checkpoint of this run; None where the folder holds no complete checkpoint.

        The state is what a checkpoint gets last: a killed run may not get there.

        Raises:
            ValueError: All that there are belong to other runs; the message says what differs.
        """
        complete = [path for path in self._all() if (path / TRAINER_STATE_NAME).exists()]
        if own := [path for path in complete if not _differences(path, self.identity)]:
            return str(own[-1])
        if complete:
            self.check(complete[-1])
        return None

    def check(self, path: str | Path) -> None:
        """Refuse a checkpoint of another run.

        Raises:
            ValueError: It is one; the message says what differs and what to do.
        """
        if differences := _differences(Path(path), self.identity):
            raise ValueError(
                f"{path} is a checkpoint of another run ({'; '.join(differences)}); choose another output_dir, or "
                f"start anew with resume: false"
            )

    def drop(self, keep: int = 0, best: int | None = None) -> None:
        """Delete the checkpoints of this run but the `keep` newest and that of step `best`; those of others stay."""
        own = [path for path in self._all() if not _differences(path, self.identity)]
        for path in own[: len(own) - keep]:
            if best is None or path != self.path(best):
                shutil.rmtree(path)

    def _all(self) -> list[Path]:
        """All checkpoints by their step."""
        steps = {path: path.name.removeprefix("checkpoint-") for path in self.folder.glob("checkpoint-*")}
        return sorted((path for path, step in steps.items() if step.isdigit()), key=lambda path: int(steps[path]))


def _differences(path: Path, identity: Mapping[str, Any]) -> list[str]:
    """What distinguishes the run of a checkpoint from the one with `identity`."""
    try:
        found = json.loads((path / IDENTITY_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [f"it has no readable {IDENTITY_NAME}"]
    hashes = ("rows", "eval_rows", "tokenizer", "model")
    result = [f"other {name}" for name in hashes if found.get(name) != identity[name]]
    pairs = {name: (found.get(name), identity[name]) for name in ("seed", "ranks")}
    theirs, ours = found.get("config", {}), identity["config"]
    pairs |= {f"config.{name}": (theirs.get(name), ours.get(name)) for name in sorted(theirs.keys() | ours.keys())}
    return result + [
        f"{name}: {theirs!r} there, {ours!r} here" for name, (theirs, ours) in pairs.items() if theirs != ours
    ]
