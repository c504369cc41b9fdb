"""Handles of policies, and the fingerprints that name them. On disk, `datasets.PolicyDataset` makes paths relative."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from factalign.base.ids import content_id

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
FINGERPRINT_PATTERNS = (
    "*.safetensors",
    "config.json",
    "adapter_config.json",
    "tokenizer.json",
    "chat_template.jinja",
)


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
    revision: str | None = None,
) -> PolicyHandle:
    """The handle of a model and its adapters.

    The `policy_id` is a hash of the content of all local folders (and of a hub model's name and
    revision), so the same weights have the same id wherever they lie.

    Raises:
        PolicyError: A folder is missing or holds no safetensors weights.
    """
    check_model(str(model))
    base = [str(model), revision] if _is_hub_name(str(model)) else model_fingerprint(model)
    policy_id = content_id("policy", base, [model_fingerprint(adapter) for adapter in adapters])
    handle = PolicyHandle(policy_id=policy_id, model=str(model), adapters=[str(adapter) for adapter in adapters])
    if revision is not None:
        handle["revision"] = revision
    return handle


def model_fingerprint(directory: str | Path, patterns: Sequence[str] = FINGERPRINT_PATTERNS) -> str:
    """SHA-256 (hex) over files in `directory`: weights, configuration, tokenizer and chat template.

    Args:
        directory: The folder of a model or an adapter.
        patterns: What counts of its files.

    Raises:
        PolicyError: There are no safetensors weights in `directory`.
    """
    folder = Path(directory)
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    if not any(path.suffix == ".safetensors" for path in files):
        raise PolicyError(f"{folder} holds no *.safetensors weights")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _is_hub_name(name: str) -> bool:
    return (
        re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is not None and not name.startswith(".") and not Path(name).exists()
    )


def check_model(name: str) -> None:
    """Whether `name` is a folder with a model in safetensors, or can be a name on the hub.

    Raises:
        PolicyError: It is not; the message says what is missing.
    """
    folder = Path(name)
    if _is_hub_name(name):
        return
    if not folder.is_dir():
        raise PolicyError(f"there is no model folder {name!r}: create it, or correct `model`")
    if not (folder / "config.json").is_file():
        raise PolicyError(f"{folder} holds no config.json: it is not a complete model folder")
    if not any(folder.glob("*.safetensors")):
        raise PolicyError(f"{folder} holds no *.safetensors weights: other formats are not read, convert them first")
