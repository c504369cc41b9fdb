"""What all benchmarks share: child processes, ratios with intervals, and the files they write."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
OUTPUT = PROJECT / "data" / "08_reporting" / "bench"
DATA_TYPES = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 with bfloat16", "avx512f": "AVX-512", "avx2": "AVX2"}


def machine() -> str:
    """The machine in general words."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    flags = set(text.split())
    units = next((words for flag, words in DATA_TYPES.items() if flag in flags), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return ", ".join(filter(None, [f"{os.cpu_count()} {platform.machine()} cores", units, f"{memory:.0f} GiB", _gpu()]))


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def run_child(module: str, *arguments: str) -> dict[str, Any]:
    """What `python -m tests.benchmarks.<module> <arguments>` prints as its last line.

    Raises:
        RuntimeError: The child failed; with the end of what it wrote.
    """
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(ours: Sequence[float], peer: Sequence[float], resamples: int = 5000) -> dict[str, Any]:
    """Medians of two series of measurements, their ratio, and its 95% interval by a bootstrap over the rounds."""
    a, b = np.asarray(ours, dtype=float), np.asarray(peer, dtype=float)
    rng = np.random.default_rng(0)
    draws = np.median(a[rng.integers(0, len(a), (resamples, len(a)))], axis=1) / np.median(
        b[rng.integers(0, len(b), (resamples, len(b)))], axis=1
    )
    return {
        "ours": float(np.median(a)),
        "peer": float(np.median(b)),
        "ratio": float(np.median(a) / np.median(b)),
        "interval": np.quantile(draws, (0.025, 0.975)).tolist(),
    }


def write(file: str, result: dict[str, Any], packages: Sequence[str] = ()) -> None:
    """Save a result as `<file>.json`, with the machine, the date and the versions of `packages`, and say it."""
    versions = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}
    record = {**result, "machine": machine(), "date": date.today().isoformat(), "versions": versions}
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / f"{file}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{result['name']}: {describe(result)}\n")
    sys.stdout.flush()


def describe(result: dict[str, Any]) -> str:
    """ "12.3 against 4.5 tokens/s, 2.73 times [2.6, 2.8]", or what there is of it."""
    text = f"{result['ours']:.4g}"
    if result.get("peer") is not None:
        low, high = result["interval"]
        text += f" against {result['peer']:.4g} {result['unit']}, {result['ratio']:.2f} times [{low:.2f}, {high:.2f}]"
    else:
        text += f" {result['unit']}"
    return text
