"""Loading a policy: the model that its handle names, with the adapters merged in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from factalign.policies.handles import ADAPTER_FILES, PolicyError, PolicyHandle, check_model, validate_handle


def load_policy(handle: PolicyHandle, dtype: str = "bfloat16") -> tuple[Any, Any]:
    """Load a policy: `(model, tokenizer)`, on the CPU, in evaluation mode, its adapters merged in order.

    Only safetensors are read and no code from the model's folder is run.

    Raises:
        PolicyError: The handle is malformed; the model or an adapter is missing, unreadable or incomplete.
    """
    import torch
    import transformers

    # Its annotations do not know `output_loading_info`.
    auto: Any = transformers.AutoModelForCausalLM
    handle = validate_handle(handle)
    if not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise PolicyError(f"dtype {dtype!r} is not known; valid: bfloat16, float16, float32")
    name, revision = handle["model"], handle.get("revision")
    check_model(name)
    for adapter in handle["adapters"]:
        _check_adapter(Path(adapter))
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
            model, report = auto.from_pretrained(
                name,
                revision=revision,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:
        raise PolicyError(
            f"the model at {name!r} cannot be read ({error}); convert or download it again, or correct "
            f"`model` "
            f"in the policy handle"
        ) from error
    # Transformers would fill these with random numbers and go on.
    absent = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if absent:
        raise PolicyError(
            f"the weights at {name!r} are incomplete: {len(absent)} tensors are missing or of another shape, "
            f"first {absent[0]}"
        )
    for adapter in handle["adapters"]:
        model = _merge(model, Path(adapter))
    return model.eval(), tokenizer


def _merge(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    try:
        with quiet():
            return PeftModel.from_pretrained(model, str(adapter), use_safetensors=True).merge_and_unload()
    except Exception as error:
        raise PolicyError(f"the adapter at {adapter} cannot be read or does not fit its model: {error}") from error


def _check_adapter(folder: Path) -> None:
    for file in ADAPTER_FILES:
        if not (folder / file).is_file():
            raise PolicyError(f"the adapter folder {folder} holds no {file}: train it again, or correct `adapters`")
    try:
        json.loads((folder / ADAPTER_FILES[0]).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PolicyError(f"{folder / ADAPTER_FILES[0]} is not valid JSON: {error}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """No loading bars: in a pipeline's log they are noise."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
