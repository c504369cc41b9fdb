"""Sequence classifiers: what their configuration says, their weights once they are needed, and where these run."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import cached_file, extract_commit_hash

from factalign.policies.handles import FINGERPRINT_PATTERNS, check_model, model_fingerprint
from factalign.policies.loading import quiet

SUPPORTED_NAMES = frozenset(("entailment", "entails", "entailed", "supported", "support", "supports"))
_TOKENIZER_PATTERNS = ("tokenizer_config.json", "vocab.*", "merges.txt", "*.model")
_HEAD = "ForSequenceClassification"


class Classifier:
    """A sequence classifier. Made from its configuration alone; its weights are read when they are first used.

    Args:
        model: Folder or hub name; safetensors only.
        revision: Of a hub model.
        dtype: Of the weights: `"auto"` is that of `best_dtype`.
        device: Of PyTorch; `"auto"` is a GPU where there is one.

    Raises:
        ValueError: No such model or dtype, no safetensors, or a model of another kind.
    """

    def __init__(self, model: str, revision: str | None = None, dtype: str = "auto", device: str = "auto") -> None:
        self.name = model
        self.device = torch.device(best_device() if device == "auto" else device)
        self._dtype = best_dtype(self.device) if dtype == "auto" else getattr(torch, dtype, None)
        if not isinstance(self._dtype, torch.dtype):
            raise ValueError(f"{model}: unknown dtype {dtype!r}; valid: auto, float32, bfloat16, float16")
        try:
            check_model(model)
            # A branch of a hub model may move before the weights are read, its commit does not.
            self._commit = extract_commit_hash(cached_file(model, "config.json", revision=revision), None) or revision
            self.config = AutoConfig.from_pretrained(model, revision=self._commit, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error
        kinds = self.config.architectures or [_HEAD]
        if not any(kind.endswith(_HEAD) for kind in kinds):
            raise ValueError(f"{model}: not a sequence classifier, its config.json says {', '.join(kinds)}")

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the files of a folder, or the commit of a hub model; reads no weights into memory."""
        if Path(self.name).is_dir():
            return model_fingerprint(self.name, (*FINGERPRINT_PATTERNS, *_TOKENIZER_PATTERNS))
        return f"{self.name}@{self._commit}"

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer.

        Raises:
            ValueError: It cannot be read.
        """
        try:
            return AutoTokenizer.from_pretrained(self.name, revision=self._commit, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    @cached_property
    def network(self) -> Any:
        """The model on its device, for inference.

        Raises:
            ValueError: The weights cannot be read, or lack a trained head.
        """
        # Its annotations do not know `output_loading_info`.
        auto: Any = AutoModelForSequenceClassification
        try:
            with quiet():
                network, report = auto.from_pretrained(
                    self.name,
                    revision=self._commit,
                    use_safetensors=True,
                    trust_remote_code=False,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
        except (OSError, ValueError, SafetensorError) as error:
            raise self._unreadable(error) from error
        if report["missing_keys"]:
            raise ValueError(
                f"{self.name}: not a trained classifier, its weights lack {', '.join(sorted(report['missing_keys']))}"
            )
        return network.eval().to(self.device, self._dtype)

    def _unreadable(self, error: Exception) -> ValueError:
        return ValueError(f"{self.name}: no classifier in safetensors could be loaded: {error}")


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
