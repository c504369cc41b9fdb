"""Sequence classifiers: loading them, what their labels mean, where and in what batches they run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

SUPPORTED_NAMES = frozenset(("entailment", "entails", "entailed", "supported", "support", "supports"))


def load_classifier(model: str, revision: str | None) -> tuple[Any, Any]:
    """Tokenizer and classifier, in float32 and for inference.

    Raises:
        ValueError: No classifier in safetensors, or one whose head was never trained.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
        classifier, report = AutoModelForSequenceClassification.from_pretrained(
            model, revision=revision, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"{model}: no classifier in safetensors could be loaded: {error}") from error
    if report["missing_keys"]:
        raise ValueError(
            f"{model}: not a trained classifier, its weights lack {', '.join(sorted(report['missing_keys']))}"
        )
    return tokenizer, classifier.eval()


def supported_index(names: dict[int, str], wanted: str | None, model: str | Path) -> int:
    """The position of the label that means "supported": `wanted`, or by the usual names.

    Raises:
        ValueError: Not exactly one label fits; the message lists what the model has.
    """
    by_name = {str(name).lower(): int(index) for index, name in names.items()}
    found = [by_name[name] for name in by_name if name == wanted.lower()] if wanted else []
    if not wanted:
        found = [by_name[name] for name in by_name.keys() & SUPPORTED_NAMES]
    if len(found) != 1:
        what = f"has no label {wanted!r}" if wanted else "does not tell which of its labels means 'supported'"
        raise ValueError(f"{model}: it {what}; set supported_label to one of: {', '.join(map(str, names.values()))}")
    return found[0]


def best_device() -> str:
    """A GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it fast, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = (
        getattr(torch.cpu, "_is_avx512_bf16_supported", bool)() or getattr(torch.cpu, "_is_amx_tile_supported", bool)()
    )
    return torch.bfloat16 if fast else torch.float32


def fingerprint(state: dict[str, torch.Tensor], settings: object) -> str:
    """12 hex digits of a hash of weights and settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()[:12]


def token_batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Positions in order of length, in batches of at most `budget` tokens with padding (at least one row)."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, budget // int(max(lengths[order[start]], 1)))
        yield order[start : start + count]
        start += count
