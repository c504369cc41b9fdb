"""Memory of a step by the length of its one sequence, to 16k tokens: LoRA on the embedded model, bfloat16.

`python -m tests.benchmarks.bench_memory [--lengths 1024 2048 4096 8192 16384]`. Each length is a process of its own.
Sequences beyond 2,048 tokens recompute activations in backward, the default; `without` is the same step keeping them
(up to 4,096 tokens). `memory` is the peak of the process above what it holds before the first forward pass.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from typing import Any

from tests.benchmarks.common import run_child, write
from tests.benchmarks.policy import default_policy

KEEPING_UP_TO = 4096


def measure(model: str, length: int, above: int) -> dict[str, Any]:
    """One step on one row of `length` tokens, without mismatched pairs."""
    import transformers

    from factalign.fkto import FKTOConfig, FKTOTrainer
    from factalign.fkto.run.process import keep_freed_memory
    from factalign.policies import load_policy, make_handle

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    keep_freed_memory()
    config = FKTOConfig(
        loss_type="apo_zero_unpaired", batch_size=1, micro_batch_size=1, max_steps=1, max_length=length,
        checkpoint_activations_above=above, reference_cache_dir=None,
    )  # fmt: skip
    policy, tokenizer = load_policy(make_handle(model), config.dtype)
    sentence = "The capital of Austria is Vienna. "
    text = sentence * length  # more than fits; cut off at `length`
    row = {
        "prompt": "Tell me about Austria.", "completion": text, "label": True,
        "sentence_spans": [[0, len(sentence) - 1]], "sentence_label": [True],
    }  # fmt: skip
    trainer = FKTOTrainer(policy, tokenizer, [row], config, tempfile.mkdtemp())
    before, began = _peak(), time.process_time()
    trainer.train()
    return {
        "length": trainer.counts["tokens"],
        "before": before,
        "memory": _peak() - before,
        "cpu": time.process_time() - began,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--model", help="folder of a policy; default: the embedded one")
    parser.add_argument("--once", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    model = options.model or default_policy()
    if options.once:
        sys.stdout.write(json.dumps(measure(model, *options.once)) + "\n")
        return
    curve, keeping = [], []
    for length in options.lengths:
        curve.append(run_child("bench_memory", "--model", model, "--once", str(length), "2048"))
        if length <= KEEPING_UP_TO:
            keeping.append(run_child("bench_memory", "--model", model, "--once", str(length), str(length)))
        sys.stdout.write(f"{curve[-1]}\n")
        sys.stdout.flush()
    write(
        "memory",
        {
            "name": f"memory of a step, {curve[-1]['length']} tokens",
            "unit": "GiB above the loaded model",
            "ours": curve[-1]["memory"],
            "curve": curve,
            "without": keeping,
        },
        ("torch", "transformers", "peft"),
    )


if __name__ == "__main__":
    main()
