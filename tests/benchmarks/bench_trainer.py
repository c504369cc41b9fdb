"""The trainer against TRL's KTOTrainer: the same rows, rank, targets, micro-batch of 4, bfloat16, whole steps.

`python -m tests.benchmarks.bench_trainer [--rounds 5] [--model FOLDER]`. Each run is a process of its own; the runs of
a round follow each other, so that what the machine does besides hits all of them. Speed is tokens of the rows per
second of CPU time. TRL is measured with its defaults, where the reference runs in every step, and with precomputed
references. Ours are always computed before the first step; `with_references`, against TRL's defaults, is the speed that
counts them to the one epoch, as if they were never used again. Ours runs as its command line does, which tells glibc to
keep freed memory; TRL as its documentation has it.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

from tests.benchmarks.common import compare, run_child, write
from tests.benchmarks.policy import default_policy

PACKAGES = ("torch", "transformers", "peft", "trl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="steps of a run; the first one is not timed")
    parser.add_argument("--methods", nargs="+", default=["lora", "full"])
    parser.add_argument("--model", help="folder of a policy; default: the embedded one")
    options = parser.parse_args()
    model = options.model or default_policy()
    for method in options.methods:
        shared = ["--method", method, "--model", model, "--steps", str(options.steps)]
        runs: dict[str, list[dict[str, Any]]] = {"factalign": [], "default": [], "cached": []}
        for _ in range(options.rounds):
            runs["factalign"].append(run_child("trainer_step", "--trainer", "factalign", *shared))
            for references in ("default", "cached"):
                runs[references].append(
                    run_child("trainer_step", "--trainer", "trl", "--references", references, *shared)
                )
        profile = run_child("trainer_step", "--trainer", "factalign", "--profile", *shared)["profile"]
        for references in ("default", "cached"):
            write(f"trainer_{method}_{references}", _result(method, references, runs, profile), PACKAGES)


def _result(
    method: str, references: str, runs: dict[str, list[dict[str, Any]]], profile: dict[str, float]
) -> dict[str, Any]:
    ours, peer = runs["factalign"], runs[references]
    speed = compare([run["tokens"] / run["cpu"] for run in ours], [run["tokens"] / run["cpu"] for run in peer])
    memory = compare([run["peak_gib"] for run in ours], [run["peak_gib"] for run in peer])
    cold = [1 / (run["cpu"] / run["tokens"] + run["reference_cpu"] / run["all_tokens"]) for run in ours]
    with_references = {"with_references": compare(cold, [run["tokens"] / run["cpu"] for run in peer])}
    return {
        "name": f"trainer, {method}, TRL with {references} references",
        "unit": "tokens per CPU-second",
        **speed,
        "memory": {"unit": "GiB, peak of the process", **memory},
        **(with_references if references == "default" else {}),
        "share_of_flop_floor": median(run["floor_cpu"] / run["cpu"] for run in ours),
        "matrix_product_gflops": median(run["gflops"] for run in ours),
        "where_the_time_goes": profile,
        "runs": {"ours": ours, "peer": peer},
    }


if __name__ == "__main__":
    main()
