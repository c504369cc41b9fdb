"""Chat models as judges and extractors: asked in batches, answered from a cache, held to a budget."""

from __future__ import annotations

from factalign.lazy import lazy_exports

_EXPORTS = {
    "AnswerCache": "cache",
    "CacheError": "cache",
    "ChatClient": "client",
    "ChatConfig": "config",
    "Task": "tasks",
}
__all__ = list(_EXPORTS)

__getattr__ = lazy_exports(__name__, _EXPORTS)
