"""Nodes of the training pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from factalign.base.heavy import plotly
from factalign.base.ids import content_id
from factalign.fkto import Manifest
from factalign.parameters import TrainingConfig


def train(
    policy: dict[str, Any],
    preferences: list[dict[str, Any]],
    config: TrainingConfig,
    seed: int,
    staging_dir: str,
) -> tuple[str, list[dict[str, Any]]]:
    """Train in a child process and return the folder to publish and the training log.

    The staging folder is named by what goes into the training, so that a training that was killed resumes from its
    last checkpoint, and never from that of another training.
    """
    from .launch import launch

    staging = Path(staging_dir) / content_id(
        "training", policy["policy_id"], preferences, config.fkto.model_dump(mode="json"), seed
    )
    staging.mkdir(parents=True, exist_ok=True)
    rows = staging / "preferences.jsonl"
    rows.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in preferences), encoding="utf-8")
    manifest = Manifest(policy=policy, preferences=rows, output_dir=staging / "output", config=config.fkto, seed=seed)
    output = launch(manifest, staging, accelerate_config=config.accelerate_config)
    shutil.copy(staging / "train.log", output)
    log = [json.loads(line) for line in (output / "training_log.jsonl").read_text(encoding="utf-8").splitlines()]
    return str(output), log


def describe_trained_policy(policy: dict[str, Any], checkpoint: str) -> dict[str, Any]:
    """The handle of the trained policy: the same model with one more adapter, or the new model."""
    from factalign.policies import make_handle

    result = json.loads((Path(checkpoint) / "result.json").read_text(encoding="utf-8"))
    trained = Path(checkpoint) / result["path"]
    if result["kind"] == "adapter":
        handle = make_handle(policy["model"], [*policy["adapters"], trained], revision=policy.get("revision"))
    else:
        handle = make_handle(trained)
    return dict(handle)


def plot(training_log: list[dict[str, Any]]) -> plotly.graph_objects.Figure:
    """Losses, rewards, margins and z0 over the steps."""
    from factalign.analysis import training_figure

    return training_figure(training_log)
