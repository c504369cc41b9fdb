"""Loading a policy: the model that its handle names, with the adapters merged in their order."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from factalign.policies.handles import ADAPTER_FILES, PolicyError, PolicyHandle, check_model, validate_handle

DTYPES = ("bfloat16", "float16", "float32")


def load_policy(handle: Mapping[str, Any], dtype: str = "bfloat16", *, load_in_4bit: bool = False) -> tuple[Any, Any]:
    """Load a policy: `(model, tokenizer)`, in evaluation mode, its adapters merged in order.

    Only safetensors are read and no code from the model's folder is run. Where accelerate is told
    `fsdp_cpu_ram_efficient_loading`, the first process of a machine holds the weights; the others have their shapes
    alone, on the meta device, until FSDP sends them what is in them.

    Args:
        handle: A `PolicyHandle`, the model and its adapters.
        dtype: Type of the weights (of the arithmetic, where they are quantized).
        load_in_4bit: Quantize the weights to NF4 (QLoRA, Dettmers et al., 2023, arXiv 2305.14314), on a GPU; otherwise
            the model is on the CPU.

    Raises:
        PolicyError: The handle is malformed; the model or an adapter is missing, unreadable or incomplete; or the
            model is to be quantized without a GPU, or with adapters to merge.
    """
    import transformers

    # Its annotations do not know `output_loading_info`.
    auto: Any = transformers.AutoModelForCausalLM
    handle = validate_handle(handle)
    if dtype not in DTYPES:
        raise PolicyError(f"dtype {dtype!r} is not known; valid: {', '.join(DTYPES)}")
    name, revision = handle["model"], handle.get("revision")
    check_model(name)
    for adapter in handle["adapters"]:
        _check_adapter(Path(adapter))
    shapes_alone = not load_in_4bit and _others_load()
    placement = _quantization(handle, dtype) if load_in_4bit else {"device_map": "meta"} if shapes_alone else {}
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
            model, report = auto.from_pretrained(
                name,
                revision=revision,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **placement,
            )
    except Exception as error:
        raise PolicyError(
            f"the model at {name!r} cannot be read ({error}); convert or download it again, or correct `model` in the "
            f"policy handle"
        ) from error
    # Transformers would fill these with random numbers and go on.
    absent = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if absent:
        raise PolicyError(
            f"the weights at {name!r} are incomplete: {len(absent)} tensors are missing or of another shape, "
            f"first {absent[0]}"
        )
    # Merging changes numbers, and no shapes.
    for adapter in [] if shapes_alone else handle["adapters"]:
        model = _merge(model, Path(adapter))
    return model.eval(), tokenizer


def _others_load() -> bool:
    """Whether another process of this machine loads the weights for this one: as transformers itself decides it."""
    from transformers.distributed.utils import is_local_dist_rank_0
    from transformers.integrations import is_fsdp_enabled

    return is_fsdp_enabled() and not is_local_dist_rank_0()


def _quantization(handle: PolicyHandle, dtype: str) -> dict[str, Any]:
    """The option of `from_pretrained` that quantizes to NF4."""
    import torch
    from transformers import BitsAndBytesConfig

    if not torch.cuda.is_available():
        # On the CPU, bitsandbytes 0.50 packs weights for inference, and no gradient passes through them.
        raise PolicyError("load_in_4bit needs a GPU")
    if handle["adapters"]:
        raise PolicyError("load_in_4bit: adapters cannot be merged into a quantized model; merge and save them first")
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return {"quantization_config": config, "device_map": _own_device()}


def _own_device() -> dict[str, int]:
    """All of the model on the device of this process, among those that a launcher started on this machine."""
    return {"": int(os.environ.get("LOCAL_RANK", "0"))}


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
