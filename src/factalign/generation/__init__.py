"""Policies and the responses sampled from them.

A policy is named by a *handle* (`PolicyHandle`): a folder of weights and the adapters to merge into it. An
*engine* turns conversations into texts; with one of them `sample_responses` turns a prompt table into a
response table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factalign.generation.config import SamplingConfig
from factalign.generation.engines import ENGINES, Engine, EngineError, Generation
from factalign.lazy import lazy_exports

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

_HOMES = {
    "PolicyError": "policies",
    "PolicyHandle": "policies",
    "convert_gguf": "policies",
    "load_policy": "policies",
    "make_handle": "policies",
    "model_fingerprint": "policies",
    "validate_handle": "policies",
    "drop_unfinished_sentence": "sampling",
    "sample_responses": "sampling",
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

__getattr__ = lazy_exports(__name__, _HOMES)
