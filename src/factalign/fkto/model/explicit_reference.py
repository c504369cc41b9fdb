"""A reference that is not the policy: a model of its own, which says its log-probabilities once and is let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from factalign.fkto.config import FKTOConfig
from factalign.fkto.model import attention
from factalign.fkto.model.adapters import policy_of
from factalign.fkto.model.loading import open_policy
from factalign.fkto.model.preparation import cast_model, install_forward, model_hash
from factalign.fkto.model.selfcheck import SelfCheck
from factalign.fkto.rows.spans import TokenSequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Reference:
    """The model whose log-probabilities rewards are measured against, ready for `precompute.Precomputation`.

    Attributes:
        model: Frozen, with the forward pass to log-probabilities.
        identity: `preparation.model_hash` of it as it was handed over.
        config: The choices, with the layout that is right for it.
    """

    model: nn.Module
    identity: str
    config: FKTOConfig


def open_reference(
    model: PreTrainedModel | str | Path,
    policy: nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    config: FKTOConfig,
    sequences: Sequence[TokenSequence],
) -> Reference:
    """Prepare a reference model, and ask `SelfCheck` whether what it will say is its own.

    Args:
        model: The model, or its folder or name.
        policy: The model that is trained.
        tokenizer: Of both.
        config: Of the run.
        sequences: The run's rows, for the check.

    Raises:
        PolicyError: A model that is named cannot be read.
        ValueError: The two do not fit each other, or no layout gives the model's log-probabilities.
    """
    if model is policy:
        raise ValueError(
            "ref_model is the policy itself: leave it out, the reference is then the policy as handed over"
        )
    if isinstance(model, str | Path):
        model, own = open_policy(model, None, config)
        if own.get_vocab() != tokenizer.get_vocab():
            raise ValueError("ref_model has another vocabulary than the policy's tokenizer")
    known = len(model.get_output_embeddings().weight)
    if known < len(tokenizer):
        raise ValueError(f"ref_model knows {known} tokens, the policy's tokenizer has {len(tokenizer)}")
    # With a new adapter all weights are in the compute type and say what they say without: so does the reference.
    config = config.model_copy(update={"method": "lora", "use_dora": False, "lora_modules_to_save": None})
    identity = model_hash(model)
    cast_model(model, config)
    plain = policy_of(model)
    check = SelfCheck(plain, sequences, config.selfcheck_tolerance)
    if config.packing:
        plain.set_attn_implementation(attention.PACKED)
    model.requires_grad_(False)
    install_forward(plain, getattr(torch, config.dtype), config.logit_chunk)
    return Reference(model, identity, check.settle(model, None, config))
