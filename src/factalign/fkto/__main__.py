"""Train from a manifest or from the command line: `python -m factalign.fkto --help`."""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from factalign.fkto.config import FKTOConfig

PARENT_PIPE = "FACTALIGN_PARENT_PIPE"


def parser() -> argparse.ArgumentParser:
    """The command line, with every setting of `FKTOConfig` in its help."""
    settings = "\n".join(
        f"  {name} (default {field.default!r}): {field.description}" for name, field in FKTOConfig.model_fields.items()
    )
    result = argparse.ArgumentParser(
        prog="python -m factalign.fkto",
        description="Train a policy with fKTO, KTO on responses and on their sentences. Start it through "
        "`python -m accelerate.commands.launch` to use several devices.",
        epilog=f"settings:\n{settings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument(
        "manifest",
        nargs="?",
        help="JSON file with policy {model, adapters, revision}, preferences, output_dir, config, seed",
    )
    result.add_argument("--model", help="folder or hub name of the policy, instead of a manifest")
    result.add_argument("--adapter", action="append", default=[], help="adapter to merge first; may be repeated")
    result.add_argument("--data", help="JSON-lines file of preference rows")
    result.add_argument("--output-dir", help="folder for the trained weights, log and checkpoints")
    result.add_argument("--seed", type=int, help="default 0")
    result.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting (JSON or text); may be repeated",
    )
    return result


def manifest_from(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Read the command line into a complete manifest; flags win over the file.

    Raises:
        ValueError: Something is missing or unknown; the message names it.
    """
    options = parser().parse_args(arguments)
    if options.adapter and not options.model:
        raise ValueError("--adapter needs --model")
    manifest: dict[str, Any] = {}
    if options.manifest:
        manifest = json.loads(Path(options.manifest).read_text(encoding="utf-8"))
    if options.model:
        manifest["policy"] = {"policy_id": options.model, "model": options.model, "adapters": options.adapter}
    for key, value in (
        ("preferences", options.data),
        ("output_dir", options.output_dir),
        ("seed", options.seed),
    ):
        if value is not None:
            manifest[key] = value
    known = {"policy", "preferences", "output_dir", "config", "seed"}
    if missing := sorted(known - {"config", "seed"} - manifest.keys()):
        raise ValueError(f"missing: {', '.join(missing)} (give a manifest, or --model, --data and --output-dir)")
    if unknown := sorted(manifest.keys() - known):
        raise ValueError(f"{options.manifest}: unknown keys {unknown}; valid: {sorted(known)}")
    config = dict(manifest.get("config") or {})
    for assignment in options.set:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise ValueError(f"--set {assignment}: expected NAME=VALUE")
        try:
            config[name] = json.loads(value)
        except json.JSONDecodeError:
            config[name] = value
    return {"seed": 0, **manifest, "config": config}


def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of returning it to the kernel.

    A step on the CPU frees and takes the same large buffers thousands of times; mapping and clearing their pages anew
    costs about a tenth of the time.
    """
    if sys.platform != "linux":
        return
    trim_threshold, mmap_max = -1, -4  # names of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


def exit_with_parent() -> None:
    """End this process group when the process that started the training is gone, even by a signal it cannot catch.

    That process holds the other end of a pipe, which is the standard input here (launchers hand this on, and close
    other descriptors), and names the pipe in the environment. Where a launcher has put something else there, its end
    says nothing.
    """
    try:
        number = os.fstat(0).st_ino
    except OSError:
        return
    if os.environ.get(PARENT_PIPE) != str(number):
        return

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="exit_with_parent", daemon=True).start()


def run(manifest: dict[str, Any]) -> dict[str, Any]:
    """Train as the manifest says and write the results; returns what `result.json` holds."""
    config = FKTOConfig(**manifest["config"])
    keep_freed_memory()
    import transformers

    from factalign.fkto.data import read_rows
    from factalign.fkto.models import load_policy
    from factalign.fkto.trainer import FKTOTrainer

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    rows = read_rows(manifest["preferences"])
    model, tokenizer = load_policy(manifest["policy"], config)
    trainer = FKTOTrainer(model, tokenizer, rows, config, manifest["output_dir"], seed=manifest["seed"])
    trainer.train()
    return trainer.save_result()


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; mistakes in what the user gave end with a message instead of a traceback."""
    exit_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        run(manifest_from(arguments))
    except (ValidationError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
