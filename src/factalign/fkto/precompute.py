"""What is computed before the first step: the references of all sequences of a run, and their trunk states."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn
from tqdm import tqdm

from factalign.base.batching import batches_by_length
from factalign.base.ids import content_hash
from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.explicit_reference import Reference
from factalign.fkto.model.preparation import trunk_states
from factalign.fkto.model.trunk import FrozenTrunk, StateStore
from factalign.fkto.reference import ReferenceCache, sequence_key
from factalign.fkto.rows.batches import Batches, ModelInputs, model_inputs
from factalign.fkto.rows.plan import Plan
from factalign.fkto.rows.row_store import RowStore
from factalign.fkto.rows.spans import TokenSequence

if TYPE_CHECKING:
    from accelerate import Accelerator

REFERENCE_TOKENS = 4096
FLUSH_SEQUENCES = 512
FORWARD_PASS = 2
"""To be raised when the code gives other log-probabilities to the same weights: caches of before count no more."""


def open_cache(reference: Reference, output_dir: Path, device: torch.device) -> ReferenceCache:
    """The cache of a reference's log-probabilities, where its configuration says.

    Args:
        reference: What decides the log-probabilities.
        output_dir: The run's folder; an automatic cache lies beside it.
        device: Where it runs.
    """
    config, attention = reference.config, reference.model.config._attn_implementation
    space = content_hash(
        reference.identity, config.dtype, config.method, config.packing, config.load_in_4bit,
        config.train_layers if config.method == "layers" else None, attention, FORWARD_PASS, *_compute(device),
        *((config.use_dora, config.lora_modules_to_save) if config.use_dora or config.lora_modules_to_save else ()),
    )[:32]  # fmt: skip
    if config.reference_cache_dir is None:
        return ReferenceCache(None, space)
    automatic = config.reference_cache_dir == "auto"
    return ReferenceCache(
        output_dir.parent / "reference_cache" if automatic else Path(config.reference_cache_dir), space
    )


def _compute(device: torch.device) -> list[Any]:
    """What decides how the same arithmetic is rounded: the device, its number formats, the libraries."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    matmul = torch.backends.cuda.matmul
    return [
        device.type, name, torch.get_float32_matmul_precision(), torch.backends.mkldnn.enabled,
        str(matmul.allow_bf16_reduced_precision_reduction), str(matmul.allow_fp16_reduced_precision_reduction),
        torch.__version__, transformers.__version__,
    ]  # fmt: skip


def sequences_of_run(store: RowStore, plan: Plan, config: FKTOConfig) -> dict[str, TokenSequence]:
    """All sequences of this rank's share of the run, rows and mismatched pairs, by key."""
    return sequences_of_steps(store, plan, config.max_steps or plan.steps_per_epoch * config.epochs)


def sequences_of_steps(store: RowStore, plan: Plan, steps: int) -> dict[str, TokenSequence]:
    """The same of the first `steps` optimizer steps."""
    needed: dict[str, TokenSequence] = {}
    for epoch in range(-(-steps // plan.steps_per_epoch)):
        left = (steps - epoch * plan.steps_per_epoch) * plan.accumulation
        for number, items in enumerate(plan.micro_batches(epoch)):
            if number >= left:
                break
            for s in (*(store.sequences[item.row] for item in items), *(s for _, s in store.pairs(items))):
                needed[sequence_key(s)] = s
    return needed


class Precomputation:
    """Fills the reference cache, and with a trunk the store of its states.

    Args:
        batches: Makes the inputs, in the layout of training.
        references: Gets the log-probabilities.
        trunk: The layers that are not trained, with method `layers`.
        states: Gets what they return.
        packing: The layout.
    """

    def __init__(
        self,
        batches: Batches,
        references: ReferenceCache,
        trunk: FrozenTrunk | None,
        states: StateStore,
        packing: bool,
    ) -> None:
        self._batches = batches
        self._references = references
        self._trunk = trunk
        self._states = states
        self._packing = packing

    @torch.no_grad()
    def run(
        self,
        model: nn.Module,
        needed: dict[str, TokenSequence],
        accelerator: Accelerator,
        to_device: Callable[[ModelInputs], ModelInputs],
        *,
        sharded: bool,
    ) -> None:
        """Compute what is not known yet of `needed`.

        Args:
            model: The policy before its first step, as it will be trained.
            needed: Sequences by key; not empty.
            accelerator: The ranks.
            to_device: Moves inputs to the model's device.
            sharded: Whether the ranks share the parameters, so that they must take as many forward passes.
        """
        lacking = self._references.missing(needed)
        work = [(k, s) for k, s in needed.items() if k in lacking or (self._trunk and k not in self._states)]
        groups = list(batches_by_length([len(s) for _, s in work], REFERENCE_TOKENS, padded=False))
        rounds = len(groups)
        if sharded:
            rounds = int(accelerator.gather(torch.tensor([rounds], device=accelerator.device)).max())
            # Sharded forward passes are collective: a rank without work of its own repeats something.
            groups += [[0]] * (rounds - len(groups))
            work = work or [next(iter(needed.items()))]
        model.eval()
        entries = {}
        quiet = not (accelerator.is_main_process and sys.stderr.isatty())
        for group in tqdm(groups, desc="reference", disable=quiet, unit="batch"):
            keys, sequences = [work[i][0] for i in group], [work[i][1] for i in group]
            if self._trunk is not None:
                new = [(k, s) for k, s in zip(keys, sequences, strict=True) if k not in self._states]
                if new:
                    inputs = to_device(model_inputs([s for _, s in new], self._packing))
                    self._add_states(model, self._trunk, new, inputs)
            if not sharded and lacking.isdisjoint(keys):
                continue
            logps = model(**to_device(self._batches.inputs(sequences))).cpu()
            for key, part in zip(keys, logps.split([s.num_scored for s in sequences]), strict=True):
                entries[key] = part.clone().numpy()
            if len(entries) >= FLUSH_SEQUENCES:
                self._references.add(entries)
                entries = {}
        self._references.add(entries)

    def _add_states(
        self, model: nn.Module, trunk: FrozenTrunk, new: Sequence[tuple[str, TokenSequence]], inputs: ModelInputs
    ) -> None:
        """Keep `[length, width]` of each of the sequences that `inputs` holds."""
        lengths = [len(s) for _, s in new]
        states = trunk_states(model, trunk, inputs)
        rows = states[0].split(lengths) if self._packing else [r[:n] for r, n in zip(states, lengths, strict=True)]
        for (key, _), row in zip(new, rows, strict=True):
            self._states.put(key, row)
