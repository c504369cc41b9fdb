"""Does the trainer compute the log-probabilities of the model that it was given? Asked of every run before it starts.

Packing, the chunked head, cached trunks and adapters all replace a part of the model's own forward pass, and an
architecture that does something else there would train on wrong numbers without a word. So a few of the run's rows go
through the untouched model, and later through the trainer's path.

In bfloat16 two correct layouts differ by about 0.03 nats per token, which is more than some defects make. Both passes
are therefore taken in float32, and the weights put back afterwards, bit by bit. A quantized model cannot be lifted.
Of several ranks the first one is asked, for all: it may be the only one that holds the weights.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.preparation import trunk_states
from factalign.fkto.model.trunk import FrozenTrunk
from factalign.fkto.ranks import from_main
from factalign.fkto.rows.batches import ModelInputs, model_inputs
from factalign.fkto.rows.spans import TokenSequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

# The longest is neither first nor last: what leaks from one row to the next, or from the padding, shows.
LENGTHS = (16, 32, 24)
TOLERANCE = 5e-4
QUANTIZED_TOLERANCE = 0.15


@dataclass(frozen=True)
class Difference:
    """How far the trainer's log-probabilities are from the model's own.

    Attributes:
        mean: Of the tokens of the worst row, in nats.
        largest: Of all tokens, in nats.
        error: What went wrong instead, if there are no log-probabilities.
    """

    mean: float
    largest: float
    error: Exception | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """On its way to other ranks: errors of foreign code may not be picklable, their text is."""
        return Difference, (self.mean, self.largest, self.error and RuntimeError(str(self)))

    def __str__(self) -> str:
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error}"
        return f"{self.mean:.2g} nats per token, at most {self.largest:.2g}"


class SelfCheck:
    """Remembers what the untouched model says of a few rows; to be made before anything is installed in it.

    Args:
        model: The policy, after `preparation.cast_model`: rounding its weights is asked for, and no defect.
        sequences: The run's rows; the first ones are used, cut short and scored from their second token on.
        tolerance: Mean difference in nats per token that is accepted; None: 0.0005, and 0.15 for a quantized model.
    """

    def __init__(self, model: PreTrainedModel, sequences: Sequence[TokenSequence], tolerance: float | None) -> None:
        self._policy = model
        self._sequences = [_cut(s, n) for s, n in zip(islice(cycle(sequences), len(LENGTHS)), LENGTHS, strict=True)]
        quantized = getattr(model, "hf_quantizer", None) is not None
        self._tolerance = tolerance or (QUANTIZED_TOLERANCE if quantized else TOLERANCE)
        self._implementation = model.config._attn_implementation
        self._expected = from_main(self._plain)

    def _plain(self) -> list[Tensor]:
        with _undisturbed(self._policy):
            return [_plain_logps(self._policy, s) for s in self._sequences]

    def settle(self, model: nn.Module, trunk: FrozenTrunk | None, config: FKTOConfig) -> FKTOConfig:
        """Compare, and go back from packing to padding where packing changes the log-probabilities.

        Args:
            model: What `preparation.prepare_model` made of the policy.
            trunk: Likewise.
            config: The configuration that it was prepared by.

        Returns:
            `config`, with the layout that is right.

        Raises:
            ValueError: No layout is; the message has the difference.
        """
        found = from_main(lambda: self.difference(model, trunk, config.packing))
        if found.mean <= self._tolerance:
            return config
        name = type(self._policy).__name__
        if config.packing:
            logger.warning(
                "%s: packed log-probabilities are not the model's own (%s); this run pads its rows instead", name, found
            )
            self._policy.set_attn_implementation(self._implementation)
            return self.settle(model, trunk, config.model_copy(update={"packing": False}))
        raise ValueError(
            f"{name} cannot be trained: the trainer's log-probabilities are not the model's own ({found}; "
            f"selfcheck_tolerance is {self._tolerance:g}), so this architecture does something to its inputs or logits "
            f"that is not supported"
        ) from found.error

    def difference(self, model: nn.Module, trunk: FrozenTrunk | None, packing: bool) -> Difference:
        """How far the prepared `model` is from the untouched one."""
        try:
            with _undisturbed(self._policy):
                inputs = model_inputs(self._sequences, packing)
                if trunk is not None:
                    inputs["trunk_states"] = trunk_states(model, trunk, inputs)
                logps = model(**_to(inputs, self._policy.device)).cpu()
        except Exception as error:  # the code of any architecture runs here
            return Difference(float("inf"), float("inf"), error)
        parts = logps.split([s.num_scored for s in self._sequences])
        gaps = [(part - own).abs() for part, own in zip(parts, self._expected, strict=True)]
        return Difference(max(float(gap.mean()) for gap in gaps), max(float(gap.max()) for gap in gaps))


def check_start(rewards: Tensor, tolerance: float, names: Sequence[str]) -> None:
    """Policy and reference are the same function before the first update, so their log-ratios must be about 0.

    Args:
        rewards: `[rows]`, r of a micro-batch of the first step, in nats.
        tolerance: Mean |r| that rounding may cause.
        names: Of the rows, for the message.

    Raises:
        ValueError: They are not.
    """
    mean = float(rewards.abs().mean())
    if mean > tolerance:
        raise ValueError(
            f"step 1: policy and reference disagree before the first update, mean |r| is {mean:.3g} nats in "
            f"{', '.join(names)} (start_tolerance is {tolerance:g}). Look for what differs between two forward passes: "
            f"dropout or noise in the model while it trains, weights that changed after the references were computed, "
            f"or a reference cache of another model (delete it, or set reference_cache_dir to null)"
        )


def _cut(s: TokenSequence, length: int) -> TokenSequence:
    ids = s.ids[:length]
    return replace(s, ids=ids, start=1, sentence=ids[1:] * 0 - 1, sentences=())


def _to(inputs: ModelInputs, device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in inputs.items()}


def _plain_logps(model: PreTrainedModel, s: TokenSequence) -> Tensor:
    ids = torch.from_numpy(s.ids).long().to(model.device)
    logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1].float()
    return torch.log_softmax(logits, dim=-1).gather(1, ids[1:, None])[:, 0].cpu()


@contextmanager
def _undisturbed(model: PreTrainedModel) -> Iterator[None]:
    """Within, `model` evaluates in float32; afterwards it, and the random numbers, are as they were."""
    modes = [(module, module.training) for module in model.modules()]
    weights = [(p, p.dtype) for p in model.parameters() if p.is_floating_point()]
    buffers = [(b, b.data) for b in model.buffers() if b.is_floating_point()]
    quantized = getattr(model, "hf_quantizer", None) is not None
    compute = getattr(model, "logp_dtype", None)
    model.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            if not quantized:
                for tensor, _ in (*weights, *buffers):
                    tensor.data = tensor.data.float()
                if compute is not None:
                    model.logp_dtype = torch.float32
            yield
    finally:
        for tensor, dtype in weights:
            tensor.data = tensor.data.to(dtype)
        for tensor, data in buffers:
            tensor.data = data
        for module, mode in modes:
            module.training = mode
        if compute is not None:
            model.logp_dtype = compute
