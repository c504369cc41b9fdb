"""Corpora, their passages and typed facts, prompts over their topics, and retrievers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "CORPORA": "corpora",
    "load_corpus": "corpora",
    "topics": "corpora",
    "Fact": "facts",
    "Item": "facts",
    "facts_from_json": "facts",
    "facts_to_json": "facts",
    "PromptConfig": "prompts",
    "build_prompts": "prompts",
    "read_prompts": "prompts",
    "RETRIEVERS": "retrievers",
    "load_retriever": "retrievers",
    "Hit": "retrievers",
    "Retriever": "retrievers",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
