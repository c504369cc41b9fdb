"""From the model that is handed over to the policy and the reference of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from factalign.base.ids import content_hash
from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.adapters import adapter_identity, check_adapter, policy_of
from factalign.fkto.model.explicit_reference import Reference, open_reference
from factalign.fkto.model.preparation import cast_model, model_hash, prepare_model
from factalign.fkto.model.selfcheck import SelfCheck
from factalign.fkto.model.trunk import FrozenTrunk
from factalign.fkto.ranks import from_main
from factalign.fkto.rows.spans import TokenSequence

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Setup:
    """A policy ready for training.

    Attributes:
        model: The policy, with its trained weights chosen and the forward pass to log-probabilities.
        trunk: Its layers that are not trained, with method `layers`.
        config: The choices, with the layout that is right for the model.
        identity: Hash of all that was handed over.
        reference: What rewards are measured against.
        explicit: Whether that is another model than the policy.
    """

    model: nn.Module
    trunk: FrozenTrunk | None
    config: FKTOConfig
    identity: str
    reference: Reference
    explicit: bool


def set_up(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    config: FKTOConfig,
    sequences: Sequence[TokenSequence],
    peft_config: PeftConfig | None,
    ref_model: PreTrainedModel | str | Path | None,
) -> Setup:
    """Prepare a policy and its reference, and ask `SelfCheck` whether what they will say is their own.

    Args:
        model: The policy, a `PreTrainedModel` or a `PeftModel`; it is changed.
        tokenizer: Its tokenizer.
        config: The choices.
        sequences: The run's rows.
        peft_config: The adapter to train, instead of the settings `lora_*`.
        ref_model: The reference; None: the policy as it is.

    Raises:
        ValueError: They do not fit each other, or the model cannot be trained rightly.
    """
    check_adapter(model, peft_config, config)
    identity = from_main(lambda: model_hash(model))
    if peft_config is not None:
        identity = content_hash(identity, adapter_identity(peft_config))
    given = None if ref_model is None else open_reference(ref_model, model, tokenizer, config, sequences)
    cast_model(model, config)
    check = SelfCheck(policy_of(model), sequences, config.selfcheck_tolerance)
    prepared, trunk = prepare_model(model, config, peft_config)
    config = check.settle(prepared, trunk, config)
    if given is None:
        return Setup(prepared, trunk, config, identity, Reference(prepared, identity, config), explicit=False)
    return Setup(prepared, trunk, config, content_hash(identity, given.identity), given, explicit=True)
