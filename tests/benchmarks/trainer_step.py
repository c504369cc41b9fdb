"""One measured training run, in a process of its own: the peak of memory is the process's.

`python -m tests.benchmarks.trainer_step --trainer factalign --method lora --model <folder>` prints one line of JSON.
Both trainers get the same rows in micro-batches of 4, bfloat16, no accumulation. The clock runs from the end of the
first step to the end of the last: whole steps, with batches, mismatched pairs, optimizer and log.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch.profiler import ProfilerActivity, profile
from transformers import AutoTokenizer, TrainerCallback

MICRO_BATCH = 4


def make_rows(count: int, tokenizer: Any, seed: int = 0) -> list[dict[str, Any]]:
    """Preference rows of about 115 to 375 tokens, made of sentences of the World Factbook; labels are random."""
    from factalign.base.text import split_sentences
    from factalign.corpora import read_passages

    passages = read_passages("factbook")
    rng = random.Random(seed)
    titles = sorted(set(passages["title"]))
    rows = []
    for title in rng.sample(titles, count):
        texts = passages.loc[passages["title"] == title, "text"].tolist()
        sentences = [text[a:b] for text in texts for a, b in split_sentences(text) if 20 < b - a < 200]
        rng.shuffle(sentences)
        budget, spans, completion = rng.randint(90, 350), [], ""
        for sentence in sentences:
            longer = f"{completion} {sentence}".strip()
            if len(tokenizer(longer)["input_ids"]) > budget:
                break
            spans.append([len(longer) - len(sentence), len(longer)])
            completion = longer
        rows.append(
            {
                "prompt": [{"role": "user", "content": f"Tell me about {title}."}],
                "completion": [{"role": "assistant", "content": completion or title}],
                "label": rng.random() < 0.5,
                "sentence_spans": spans,
                "sentence_label": [rng.random() < 0.5 for _ in spans],
            }
        )
    return rows


class Clock(TrainerCallback):
    """CPU and wall seconds, and the tokens, of all steps but the first.

    Args:
        tokens: Returns the tokens of the rows trained on so far.
        profiler: Runs while the clock does; None: none.
    """

    def __init__(self, tokens: Callable[[], int], profiler: profile | None) -> None:
        self._tokens, self._profiler = tokens, profiler
        self._began: tuple[float, float, int] | None = None
        self.cpu = self.wall = 0.0
        self.tokens = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._began is None:
            self._began = time.process_time(), time.perf_counter(), self._tokens()
            if self._profiler is not None:
                self._profiler.start()
            return
        if state.global_step == state.max_steps and self._profiler is not None:
            self._profiler.stop()
        cpu, wall, tokens = self._began
        self.cpu, self.wall = time.process_time() - cpu, time.perf_counter() - wall
        self.tokens = self._tokens() - tokens


class Ours:
    """Our trainer, with what is counted about it."""

    def __init__(self, options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
        from factalign.fkto import FKTOConfig, FKTOTrainer
        from factalign.fkto.run.process import keep_freed_memory
        from factalign.policies import load_policy, make_handle

        keep_freed_memory()
        config = FKTOConfig(
            method=options.method, batch_size=MICRO_BATCH, micro_batch_size=MICRO_BATCH, max_steps=options.steps,
            reference_cache_dir=None,
        )  # fmt: skip
        policy, tokenizer = load_policy(make_handle(options.model), config.dtype)
        self.trainer = FKTOTrainer(policy, tokenizer, rows, config, tempfile.mkdtemp())
        self._step_tokens: list[int] = []
        self._work = {"rows": 0, "row_targets": 0, "pairs": 0, "pair_targets": 0}
        self._count_work()
        self._time_references()

    def tokens(self) -> int:
        return sum(self._step_tokens)

    def _count_work(self) -> None:
        collate = self.trainer._batches.collate

        def counting(items: Any) -> dict[str, Any]:
            batch = collate(items)
            self._step_tokens.append(batch["tokens"])
            if len(self._step_tokens) > 1:
                for side in ("rows", "pairs"):
                    if batch[side] is not None:
                        self._work[side] += batch[side]["inputs"]["input_ids"].numel()
                        self._work[f"{side[:-1]}_targets"] += len(batch[side]["inputs"]["targets"])
            return batch

        self.trainer.data_collator = counting

    def _time_references(self) -> None:
        compute = self.trainer._compute_references
        self.reference_cpu = 0.0

        def timed(model: Any) -> None:
            began = time.process_time()
            compute(model)
            self.reference_cpu = time.process_time() - began

        self.trainer._compute_references = timed

    def report(self, method: str) -> dict[str, Any]:
        """The least time that the matrix products of the timed steps take, at the rate of one of their shapes.

        Counted are the products with the weights: forward, and in backward those that the method needs (with frozen
        weights one a weight, else two); attention's own products are left out.
        """
        model = self.trainer.model
        width = model.config.hidden_size
        head = model.config.vocab_size * width
        backbone = sum(
            m.weight.numel() for n, m in model.named_modules() if type(m) is torch.nn.Linear and "lm_head" not in n
        )
        backward = 1 if method == "lora" else 2
        products = (1 + backward) * self._work["rows"] + self._work["pairs"]
        head_products = (1 + backward) * self._work["row_targets"] + self._work["pair_targets"]
        floor = 2 * (backbone * products + head * head_products)
        gflops = matrix_rate(width, model.config.intermediate_size)
        return {
            "all_tokens": self.trainer.counts["tokens"],
            "reference_cpu": self.reference_cpu,
            "gflops": gflops,
            "floor_cpu": floor / gflops / 1e9,
        }


def matrix_rate(width: int, inner: int, length: int = 1024) -> float:
    """GFLOP per CPU-second of a bfloat16 product of the model's most frequent shape."""
    a, b = torch.randn(length, width).bfloat16(), torch.randn(inner, width).bfloat16()
    seconds = []
    for _ in range(20):
        began = time.process_time()
        a @ b.T
        seconds.append(time.process_time() - began)
    return 2 * length * width * inner / sorted(seconds)[10] / 1e9


class Peer:
    """TRL's KTOTrainer as its documentation sets it up, with the same rank and targets."""

    def __init__(self, options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
        import datasets
        import trl
        from peft import LoraConfig
        from transformers import AutoModelForCausalLM

        lora, precompute = options.method == "lora", options.references == "cached"
        load = AutoModelForCausalLM.from_pretrained
        args = trl.KTOConfig(
            tempfile.mkdtemp(), bf16=True, use_cpu=not torch.cuda.is_available(), report_to="none", save_strategy="no",
            per_device_train_batch_size=MICRO_BATCH, max_steps=options.steps, logging_steps=1, max_length=2048,
            gradient_checkpointing=False, precompute_ref_log_probs=precompute, disable_tqdm=True,
        )  # fmt: skip
        self.trainer = trl.KTOTrainer(
            model=load(options.model, dtype=torch.bfloat16 if lora else torch.float32),
            ref_model=None if lora or precompute else load(options.model, dtype=torch.bfloat16),
            args=args,
            train_dataset=datasets.Dataset.from_list(
                [{key: row[key] for key in ("prompt", "completion", "label")} for row in rows]
            ),
            processing_class=AutoTokenizer.from_pretrained(options.model),
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
            if lora
            else None,
        )

    def tokens(self) -> int:
        return int(self.trainer._total_train_tokens)

    def report(self, method: str) -> dict[str, Any]:
        return {}


GROUPS: dict[str, tuple[str, ...]] = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::addmm_"),
    "attention and softmax of the vocabulary": (
        "aten::bmm",
        "aten::_scaled_dot_product",
        "aten::_softmax",
        "_CausalAttention",
        "aten::topk",
    ),
    "optimizer": ("aten::_fused_adamw_", "Optimizer"),
}


def shares(profiler: profile) -> dict[str, float]:
    """Shares of CPU time by kind of operation; what is no group's is element-wise work, copies and Python."""
    events = profiler.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    found = {
        name: sum(e.self_cpu_time_total for e in events if e.key.startswith(prefixes)) / total
        for name, prefixes in GROUPS.items()
    }
    return found | {"element-wise work, copies, the rest": 1 - sum(found.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainer", choices=["factalign", "trl"], required=True)
    parser.add_argument("--method", choices=["lora", "full", "layers"], default="lora")
    parser.add_argument("--references", choices=["cached", "default"], default="cached", help="of TRL")
    parser.add_argument("--model", required=True, help="folder of the policy, safetensors")
    parser.add_argument("--steps", type=int, default=3, help="the first one is not timed")
    parser.add_argument("--profile", action="store_true", help="report shares of CPU time by kind of operation")
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rows = make_rows(MICRO_BATCH * options.steps, AutoTokenizer.from_pretrained(options.model))
    measured = (Ours if options.trainer == "factalign" else Peer)(options, rows)
    profiler = profile(activities=[ProfilerActivity.CPU]) if options.profile else None
    clock = Clock(measured.tokens, profiler)
    measured.trainer.add_callback(clock)
    measured.trainer.train()
    result = {
        "tokens": clock.tokens,
        "cpu": clock.cpu,
        "wall": clock.wall,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        **measured.report(options.method),
    }
    if profiler is not None:
        result["profile"] = shares(profiler)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
