"""What a training would do, and the memory it would take, without weights: `python -m factalign.fkto --dry-run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from factalign.fkto.config import FKTOConfig
from factalign.fkto.model import cpu_attention
from factalign.fkto.model.attention import takes_varlen
from factalign.fkto.model.preparation import cast_model, prepare_model
from factalign.fkto.model.trunk import FrozenTrunk
from factalign.fkto.precompute import sequences_of_run
from factalign.fkto.rows.batches import model_inputs
from factalign.fkto.rows.data import read_rows
from factalign.fkto.rows.plan import Item
from factalign.fkto.rows.row_store import RowStore
from factalign.fkto.rows.spans import SpanEncoder, TokenSequence
from factalign.fkto.run.manifest import Manifest
from factalign.fkto.run.memory import STATES, gathered_size, optimizer_size, pass_size, size_of, weights_size
from factalign.policies import PolicyError

GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes of a part of the memory of a rank.

    Attributes:
        alone: On one rank.
        sharded: On one of the ranks that share weights, gradients and optimizer state (FSDP2, ZeRO-3).
    """

    alone: int
    sharded: int


def outline(policy: Mapping[str, Any]) -> tuple[Any, Any]:
    """The model of a handle without its weights, on the meta device, and its tokenizer.

    Raises:
        PolicyError: Configuration or tokenizer cannot be read.
    """
    name, revision = policy["model"], policy.get("revision")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config), tokenizer
    except Exception as error:
        raise PolicyError(f"configuration or tokenizer of {name!r} cannot be read ({error})") from error


def dry_run(manifest: Manifest, ranks: int) -> str:
    """The report on a run with `ranks` ranks, as text.

    Raises:
        ValueError: Policy, rows and configuration do not fit each other.
        OSError: A file cannot be read.
    """
    config = manifest.config
    rows = read_rows(manifest.preferences)
    model, tokenizer = outline(manifest.policy)
    store = RowStore(rows, SpanEncoder(tokenizer, config.max_length, config.chat_template_kwargs), config.max_bad_rows)
    plans = [store.plan(config, manifest.seed, rank, ranks) for rank in range(ranks)]
    passes = [items for epoch in range(config.epochs) for plan in plans for items in plan.micro_batches(epoch)]
    steps = [step for epoch in range(config.epochs) for step in plans[0].steps(epoch)]
    largest = [store.sequences[i.row] for i in max(passes, key=lambda items: _positions(store, items, config))]
    cast_model(model, config)
    prepared, trunk = prepare_model(model, config)
    sections = {
        "rows": _rows(store),
        "steps": {
            "ranks": f"{ranks}",
            "optimizer steps": f"{config.max_steps or plans[0].steps_per_epoch * config.epochs:,}",
            "passes of a rank in a step": f"{plans[0].accumulation:,}",
            "tokens of a step": _spread([sum(len(store.sequences[row]) for row in step) for step in steps]),
            "tokens of a pass, with padding": _spread([_positions(store, items, config) for items in passes]),
        },
        "trained": _trained(prepared),
        "kernels": _kernels(prepared, config),
    }
    lines = []
    for title, section in sections.items():
        lines += [title, *(f"  {name:<32}  {value}" for name, value in section.items()), ""]
    parts = memory(prepared, trunk, config, largest, ranks)
    lines.append(f"{f'memory of a rank, GiB ({config.method})':<34}  {'one rank':>10}  {f'{ranks} sharded':>10}")
    lines += [_columns(name, part) for name, part in parts.items()]
    for name, checkpointing in (("sum, activations kept", False), ("sum, activations recomputed", True)):
        kept = [part for part_name, part in parts.items() if part_name != _pass_name(not checkpointing)]
        lines.append(_columns(name, Memory(sum(p.alone for p in kept), sum(p.sharded for p in kept))))
    lines += ["", *(f"  {name:<32}  {value}" for name, value in _beside(prepared, trunk, store, manifest, ranks))]
    return "\n".join(lines)


def memory(
    model: nn.Module, trunk: FrozenTrunk | None, config: FKTOConfig, largest: Sequence[TokenSequence], ranks: int
) -> dict[str, Memory]:
    """The parts of the memory of a rank's device.

    Args:
        model: What `prepare_model` made of a policy on the meta device; its parameters are replaced here.
        trunk: Likewise.
        config: The choices.
        largest: The rows of the largest pass.
        ranks: How many ranks share what can be shared.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    gathered = gathered_size(model) if ranks > 1 else 0
    parts = {
        name: Memory(size, -(-size // ranks))
        for name, size in (
            ("weights", weights_size(model, config)),
            ("gradients", size_of(trained)),
            (f"optimizer ({config.optimizer})", optimizer_size(trained, config.optimizer)),
        )
    }
    parts["weights gathered from the ranks"] = Memory(0, gathered)
    inputs = model_inputs(largest, config.packing)
    if trunk is not None:
        width = model.config.get_text_config().hidden_size
        inputs["trunk_states"] = torch.empty(*inputs["input_ids"].shape, width, dtype=getattr(torch, config.dtype))
    for checkpointing in (False, True):
        size = pass_size(model, inputs, checkpointing=checkpointing)
        parts[_pass_name(checkpointing)] = Memory(size, size)
    return parts


def _columns(name: str, part: Memory) -> str:
    return f"  {name:<32}  {part.alone / GIB:>10.2f}  {part.sharded / GIB:>10.2f}"


def _pass_name(checkpointing: bool) -> str:
    return f"largest pass, {'recomputing' if checkpointing else 'keeping'}"


def _positions(store: RowStore, items: Sequence[Item], config: FKTOConfig) -> int:
    lengths = [len(store.sequences[item.row]) for item in items]
    return sum(lengths) if config.packing else len(lengths) * max(lengths)


def _spread(values: Sequence[int]) -> str:
    return f"mean {np.mean(values):,.0f}, p95 {np.percentile(values, 95):,.0f}, largest {max(values):,}"


def _rows(store: RowStore) -> dict[str, str]:
    counts, labels = store.counts, [label for label, _ in store.labels]
    sentences = [label for label, _ in store.sentence_labels]
    return {
        "rows": f"{counts['rows']:,}, left out {counts['rows_left_out']:,}, cut off {counts['rows_truncated']:,}",
        "response labels": f"{len(labels):,}, desirable {sum(labels):,.0f}",
        "sentence labels": f"{len(sentences):,}, desirable {sum(sentences):,.0f}, "
        f"cut off {counts['sentences_cut_off']:,}, without tokens {counts['sentences_without_tokens']:,}",
        "tokens of a row": _spread([len(s) for s in store.sequences]),
    }


def _trained(model: nn.Module) -> dict[str, str]:
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    return {
        "trained parameters": f"{trained:,} ({trained / (trained + frozen):.2%})",
        "frozen parameters": f"{frozen:,}",
    }


def _kernels(model: nn.Module, config: FKTOConfig) -> dict[str, str]:
    """What computes what; the check at the start of a run may still choose padding instead of packing."""
    text = model.config.get_text_config()
    plain = getattr(text, "attn_logit_softcapping", None) is None and not any(
        name.endswith("sinks") for name, _ in model.named_parameters()
    )
    written_out = "weights written out, sequence by sequence (softcap or sinks)"
    by_sequence = "scaled_dot_product_attention, sequence by sequence"
    gpu = "varlen_attn" if takes_varlen("cuda", getattr(torch, config.dtype)) else by_sequence
    cpu = f"own backward to {cpu_attention.LONGEST} tokens of a sequence, then {by_sequence}"
    own = f"the model's own ({model.config._attn_implementation}), with a mask"
    kernels = {
        "layout": "packed, if the check at the start agrees" if config.packing else "padded",
        "attention on a GPU": (gpu if plain else written_out) if config.packing else own,
        "attention on the CPU": (cpu if plain else written_out) if config.packing else own,
        "optimizer": config.optimizer + ("" if config.optimizer in STATES else " (memory: taken for AdamW)"),
    }
    if config.method == "lora":
        from peft.tuners.lora import LoraLayer

        layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
        fast = 0 if config.load_in_4bit else sum(isinstance(layer.forward, partial) for layer in layers)
        kernels["adapted layers"] = f"{fast} in one pass over their output, {len(layers) - fast} by peft"
    return kernels


def _beside(
    model: nn.Module, trunk: FrozenTrunk | None, store: RowStore, manifest: Manifest, ranks: int
) -> Iterator[tuple[str, str]]:
    """What the table does not hold, or holds in another part."""
    config, text = manifest.config, model.config.get_text_config()
    yield "of a pass: a chunk of logits", f"{config.logit_chunk * text.vocab_size * 4 / GIB:.2f} GiB, up to three times"
    above = config.checkpoint_activations_above
    if ranks > 1:
        size = size_of(p for p in model.parameters() if p.requires_grad)
        yield "DDP instead of shards", f"as one rank, and {size / GIB:.2f} GiB of buckets"
    yield "recomputed", "never" if above is None else f"in passes of more than {above:,} tokens"
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad or not config.load_in_4bit)
    yield "host at the start, a rank", f"{4 * parameters / GIB:.2f} GiB (all weights in float32, for the check)"
    if trunk is not None:
        needed = [sequences_of_run(store, store.plan(config, manifest.seed, r, ranks), config) for r in range(ranks)]
        size = max(sum(map(len, n.values())) for n in needed) * text.hidden_size * getattr(torch, config.dtype).itemsize
        yield "host, trunk states of a rank", f"{size / GIB:.2f} GiB, in memory up to {config.trunk_cache_gib:g}"
