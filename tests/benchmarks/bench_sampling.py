"""Sampling with the `transformers` engine against `generate` of transformers, on the same prompts.

`python -m tests.benchmarks.bench_sampling [--rounds 5]`. Tokens per CPU-second, 4 samples a prompt, temperature 0.7,
the 50 most probable tokens, one batch. The peer is `generate` with a static cache, and with its default cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from tests.benchmarks.common import compare, run_child, write
from tests.benchmarks.policy import default_policy

PROMPTS, SAMPLES, NEW_TOKENS = 16, 4, 48


def conversations() -> list[list[dict[str, str]]]:
    from factalign.corpora import CORPORA, PromptConfig, build_prompts, read_passages, topics

    corpus = CORPORA.build("factbook")
    prompts = build_prompts(topics(read_passages(corpus)), PromptConfig(), corpus.prompts)
    return [[dict(message) for message in messages] for messages in prompts["messages"][:PROMPTS]]


def measure_ours(model: str) -> tuple[int, float]:
    from factalign.generation import ENGINES, Sampling
    from factalign.policies import make_handle

    engine = ENGINES.build("transformers", handle=make_handle(model))
    asked = conversations()
    engine.generate(asked[:2], Sampling(max_new_tokens=4))
    sampling = Sampling(samples=SAMPLES, max_new_tokens=NEW_TOKENS, temperature=0.7, top_k=50, seed=1, batch_size=64)
    began = time.process_time()
    found = engine.generate(asked, sampling)
    return sum(g.num_tokens for samples in found for g in samples), time.process_time() - began


def measure_generate(model: str, cache: str | None) -> tuple[int, float]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    asked = [conversation for conversation in conversations() for _ in range(SAMPLES)]
    inputs = tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_tensors="pt", return_dict=True, padding=True
    )
    options: dict[str, Any] = {"do_sample": True, "temperature": 0.7, "top_k": 50, "cache_implementation": cache}
    torch.manual_seed(1)
    policy.generate(**{name: value[:2] for name, value in inputs.items()}, max_new_tokens=4, **options)
    began = time.process_time()
    found = policy.generate(**inputs, max_new_tokens=NEW_TOKENS, **options)
    seconds = time.process_time() - began
    new = found[:, inputs["input_ids"].shape[1] :]
    return int((new != tokenizer.eos_token_id).sum()), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", help="folder of a policy; default: the embedded one")
    parser.add_argument("--once", choices=["ours", "static", "dynamic"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    model = options.model or default_policy()
    if options.once:
        measured = (
            measure_ours(model)
            if options.once == "ours"
            else measure_generate(model, "static" if options.once == "static" else None)
        )
        sys.stdout.write(json.dumps({"tokens": measured[0], "cpu": measured[1]}) + "\n")
        return
    kinds = ("ours", "static", "dynamic")
    speeds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind in kinds:
            run = run_child("bench_sampling", "--model", model, "--once", kind)
            speeds[kind].append(run["tokens"] / run["cpu"])
    for kind in kinds[1:]:
        write(
            f"sampling_{kind}",
            {
                "name": f"sampling, generate with a {kind} cache",
                "unit": "tokens per CPU-second",
                **compare(speeds["ours"], speeds[kind]),
                "runs": {"ours": speeds["ours"], "peer": speeds[kind]},
            },
            ("torch", "transformers"),
        )


if __name__ == "__main__":
    main()
