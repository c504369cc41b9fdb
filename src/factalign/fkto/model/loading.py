"""The policy that a trainer is handed: a model, or where one is to be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from factalign.fkto.config import FKTOConfig
from factalign.fkto.ranks import join_ranks
from factalign.policies import load_policy

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def open_policy(
    model: PreTrainedModel | PeftModel | str | Path, tokenizer: PreTrainedTokenizerFast | None, config: FKTOConfig
) -> tuple[Any, PreTrainedTokenizerFast]:
    """The model and its tokenizer; a name or folder is read as `policies.load_policy` does.

    Raises:
        PolicyError: It cannot be read.
        ValueError: A model comes without its tokenizer.
    """
    if isinstance(model, str | Path):
        join_ranks()  # they may share the weights already while they load
        handle = {"policy_id": str(model), "model": str(model), "adapters": []}
        model, own = load_policy(handle, config.dtype, load_in_4bit=config.load_in_4bit)
        return model, own if tokenizer is None else tokenizer
    if tokenizer is None:
        raise ValueError(f"{type(model).__name__} comes without its tokenizer; only a name or a folder brings one")
    return model, tokenizer
