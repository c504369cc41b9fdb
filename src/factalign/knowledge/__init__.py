"""Corpora, their passages and typed facts, prompts over their topics, and retrievers."""

from __future__ import annotations

from factalign.lazy import lazy_exports

_EXPORTS = {
    "CORPORA": "corpora",
    "load_corpus": "corpora",
    "topics": "corpora",
    "Fact": "facts",
    "Item": "facts",
    "facts_from_json": "facts",
    "facts_to_json": "facts",
    "json_objects": "json_lines",
    "PromptConfig": "prompts",
    "build_prompts": "prompts",
    "read_prompts": "prompts",
    "RETRIEVERS": "retrievers",
    "load_retriever": "retrievers",
    "Hit": "retrievers",
    "Retriever": "retrievers",
    "WORD": "text",
    "stem": "text",
    "stems": "text",
}
__all__ = list(_EXPORTS)

__getattr__ = lazy_exports(__name__, _EXPORTS)
