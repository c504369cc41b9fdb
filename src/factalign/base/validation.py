"""What is wrong with a configuration that a user wrote, in words that name the key and what would be valid."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line for each mistake: "training.fkto.beta: must be … (got …)", "bta: unknown key; valid keys: …".

    Args:
        error: What `model` raised.
        model: The model of the whole configuration.
    """
    return [_line(item, model) for item in error.errors(include_url=False)]


def _line(item: Any, model: Any) -> str:
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return f"{key}: missing"
    if item["type"] != "extra_forbidden":
        return f"{key}: {item['msg'].removeprefix('Value error, ')} (got {item['input']!r})"
    for part in item["loc"][:-1]:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = field.annotation if field is not None else None
    valid = f"; valid keys: {', '.join(model.model_fields)}" if hasattr(model, "model_fields") else ""
    return f"{key}: unknown key{valid}"
