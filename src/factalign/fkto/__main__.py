"""Train from a manifest or from the command line: `python -m factalign.fkto --help`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from factalign.fkto.config import FKTOConfig
from factalign.fkto.run.manifest import Manifest, check_fields, read_fields
from factalign.fkto.run.process import exit_with_parent, keep_freed_memory


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
        help="JSON file with policy {model, adapters, revision}, preferences, output_dir, config, seed, "
        "eval_preferences",
    )
    result.add_argument("--model", help="folder or hub name of the policy, instead of a manifest")
    result.add_argument("--adapter", action="append", default=[], help="adapter to merge first; may be repeated")
    result.add_argument("--data", help="JSON-lines file of preference rows")
    result.add_argument("--eval-data", help="JSON-lines file of rows to evaluate at the end and every eval_steps")
    result.add_argument("--output-dir", help="folder for the trained weights, log and checkpoints")
    result.add_argument("--seed", type=int, help="default 0")
    result.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting (JSON or text); may be repeated",
    )
    result.add_argument(
        "--dry-run",
        action="store_true",
        help="read the rows, the tokenizer and the model's configuration, and print what would be trained, by which "
        "kernels, and the memory of a rank",
    )
    result.add_argument("--ranks", type=int, help="--dry-run: number of processes; default: WORLD_SIZE, or 1")
    return result


def manifest_from(arguments: Sequence[str] | None = None) -> Manifest:
    """Read the command line into a complete manifest; flags win over the file.

    Raises:
        ValueError: Something is missing or unknown; the message names it.
        OSError: The file cannot be read.
    """
    options = parser().parse_args(arguments)
    if options.adapter and not options.model:
        raise ValueError("--adapter needs --model")
    fields = read_fields(options.manifest) if options.manifest else {}
    if options.model:
        fields["policy"] = {"model": options.model, "adapters": options.adapter}
    flags = {
        "preferences": options.data,
        "eval_preferences": options.eval_data,
        "output_dir": options.output_dir,
        "seed": options.seed,
    }
    fields |= {key: value for key, value in flags.items() if value is not None}
    if missing := sorted({"policy", "preferences", "output_dir"} - fields.keys()):
        raise ValueError(f"missing: {', '.join(missing)} (give a manifest, or --model, --data and --output-dir)")
    if isinstance(config := fields.get("config", {}), dict):
        fields["config"] = config | dict(map(_setting, options.set))
    return check_fields(fields, options.manifest or "command line")


def _setting(assignment: str) -> tuple[str, Any]:
    name, separator, value = assignment.partition("=")
    if not separator:
        raise ValueError(f"--set {assignment}: expected NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def run(manifest: Manifest) -> dict[str, Any]:
    """Train as the manifest says and write the results; returns what `result.json` holds."""
    keep_freed_memory()
    from factalign.fkto.ranks import join_ranks
    from factalign.fkto.rows.data import read_rows
    from factalign.fkto.trainer import FKTOTrainer
    from factalign.policies import load_policy

    _quieten()
    ranks = join_ranks()
    config = manifest.config
    rows = read_rows(manifest.preferences)
    eval_rows = None if manifest.eval_preferences is None else read_rows(manifest.eval_preferences)
    model, tokenizer = load_policy(manifest.policy, config.dtype, load_in_4bit=config.load_in_4bit)
    trainer = FKTOTrainer(model, tokenizer, rows, config, manifest.output_dir, seed=manifest.seed, eval_rows=eval_rows)
    trainer.train()
    if eval_rows is not None:
        trainer.evaluate()
    result = trainer.save_result()
    # A process that ends while its group still has threads may abort, after all has gone well.
    ranks.destroy_process_group()
    return result


def _quieten() -> None:
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def describe(manifest: Manifest, ranks: int | None) -> str:
    """What `run` would do on `ranks` processes, see `dry_run`."""
    from factalign.fkto.run.dry_run import dry_run

    _quieten()
    ranks = int(os.environ.get("WORLD_SIZE", 1)) if ranks is None else ranks
    if ranks < 1:
        raise ValueError(f"--ranks {ranks}: must be at least 1")
    return dry_run(manifest, ranks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; mistakes in what the user gave end with a message instead of a traceback."""
    exit_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        manifest, options = manifest_from(arguments), parser().parse_args(arguments)
        if not options.dry_run:
            run(manifest)
        elif int(os.environ.get("RANK", 0)) == 0:
            print(describe(manifest, options.ranks))  # noqa: T201
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
