"""What a training run is told: the manifest, in a file or put together from the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from factalign.base.validation import explain
from factalign.fkto.config import FKTOConfig
from factalign.policies import validate_handle


class Manifest(BaseModel):
    """One training.

    Attributes:
        policy: The handle of the policy to train, see `policies.PolicyHandle`; one that is written by hand may leave
            out `policy_id` and `adapters`.
        preferences: JSON-lines file of rows, see `data`.
        output_dir: Gets checkpoints, the log, and the trained weights.
        config: The choices.
        seed: Decides the order, the mismatched pairs and the adapter's first weights.
        eval_preferences: JSON-lines file of rows to judge while those of `preferences` are trained on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: dict[str, Any]
    preferences: Path
    output_dir: Path
    config: FKTOConfig = Field(default_factory=FKTOConfig)
    seed: int = Field(0, ge=0, lt=2**32)
    eval_preferences: Path | None = None

    @field_validator("policy")
    @classmethod
    def _check_policy(cls, handle: dict[str, Any]) -> dict[str, Any]:
        return dict(validate_handle({"policy_id": handle.get("model"), "adapters": [], **handle}))


def read_fields(path: str | Path) -> dict[str, Any]:
    """The fields of a manifest file, not checked yet: the command line may still add to them.

    Raises:
        ValueError: The file does not hold a JSON object.
        OSError: It cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{path}: must be a JSON object, got {type(fields).__name__}")
    return fields


def check_fields(fields: Mapping[str, Any], where: str) -> Manifest:
    """The manifest of what a file or the command line gave.

    Raises:
        ValueError: A key is missing, unknown or of the wrong type; the message begins with `where` and names it.
    """
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        raise ValueError(f"{where}: {'; '.join(explain(error, Manifest))}") from None
