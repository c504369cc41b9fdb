"""Kedro's settings: the number of iterations, the configuration loader and the hooks."""

import os
import warnings
from pathlib import Path

from factalign.hooks import AuditGate, CheckParameters, PublishResult, RunManifest

# Rounds and reports read artifacts of other namespaces on purpose; Kedro would warn of it at every start.
warnings.filterwarnings("ignore", message="One or more dataset names contain '.' characters")

PROJECT_PATH = Path(__file__).resolve().parents[2]


def _iterations() -> int:
    raw = os.environ.get("FACTALIGN_ITERATIONS", "2")
    if not raw.isdigit():
        raise ValueError(f"FACTALIGN_ITERATIONS={raw!r} is not a number of iterations; use 0 (benchmark only), 1, 2, …")
    return int(raw)


# Read here and nowhere else: `kedro run`, `kedro viz` and notebooks all import this module before the registry.
ITERATIONS = _iterations()

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},  # an environment states only what differs
    "custom_resolvers": {
        "iterations": lambda: ITERATIONS,
        "project_path": lambda relative: str(PROJECT_PATH / relative),
    },
}

HOOKS = (CheckParameters(ITERATIONS), AuditGate(), RunManifest(PROJECT_PATH), PublishResult())
