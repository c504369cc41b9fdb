"""Policies and the responses sampled from them.

A policy is named by a *handle* (`PolicyHandle`): a folder of weights and the adapters to merge into it. An
*engine* turns conversations into texts; with one of them `sample_responses` turns a prompt table into a
response table.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from factalign.generation.config import SamplingConfig
from factalign.generation.engines import ENGINES, Engine, EngineError, Generation

if TYPE_CHECKING:
    from factalign.generation.policies import (
        PolicyError,
        PolicyHandle,
        convert_gguf,
        load_policy,
        make_handle,
        model_fingerprint,
        validate_handle,
    )
    from factalign.generation.sampling import drop_unfinished_sentence, sample_responses

_POLICIES = "factalign.generation.policies"
_SAMPLING = "factalign.generation.sampling"
_LAZY = {
    "PolicyError": _POLICIES,
    "PolicyHandle": _POLICIES,
    "convert_gguf": _POLICIES,
    "load_policy": _POLICIES,
    "make_handle": _POLICIES,
    "model_fingerprint": _POLICIES,
    "validate_handle": _POLICIES,
    "drop_unfinished_sentence": _SAMPLING,
    "sample_responses": _SAMPLING,
}

__all__ = [
    "ENGINES",
    "Engine",
    "EngineError",
    "Generation",
    "PolicyError",
    "PolicyHandle",
    "SamplingConfig",
    "convert_gguf",
    "drop_unfinished_sentence",
    "load_policy",
    "make_handle",
    "model_fingerprint",
    "sample_responses",
    "validate_handle",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
