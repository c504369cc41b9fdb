"""What a run leaves in its output folder at the end."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from factalign.fkto.model.preparation import save_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def resources(began: float) -> dict[str, float | None]:
    """Seconds since `began` (of `time.monotonic`), this process's seconds of CPU, and its peaks of memory in GiB."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_gib": usage.ru_maxrss / 2**20,
        "peak_gpu_memory_gib": torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None,
    }


def write_result(
    folder: Path,
    result: dict[str, Any],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    state: dict[str, Tensor] | None,
) -> None:
    """Write the weights and `result.json`.

    Args:
        folder: The output folder.
        result: What `result.json` holds; its `kind`, "adapter" or "model", is the subfolder of the weights.
        model: The trained model, unwrapped.
        tokenizer: Goes with a complete model.
        state: The gathered weights of a sharded model; None: the model's own.
    """
    kind = result["kind"]
    if kind == "adapter":
        model.save_pretrained(folder / kind, state_dict=state)
        named = folder / kind / model.active_adapter
        if named.is_dir():  # peft does so with an adapter that is not called "default"
            for path in named.iterdir():
                path.replace(folder / kind / path.name)
            named.rmdir()
    else:
        save_model(model, tokenizer, folder / kind, state or model.state_dict())
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
