"""fKTO: KTO on whole responses and on their sentences (Huang & Chen, 2024, arXiv 2410.01691).

`FKTOConfig` and `FKTOTrainer` are re-exported; importing the package itself loads neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factalign.fkto.config import FKTOConfig
    from factalign.fkto.data import read_rows
    from factalign.fkto.trainer import FKTOTrainer

__all__ = ["FKTOConfig", "FKTOTrainer", "read_rows"]

_HOMES = {"FKTOConfig": "config", "FKTOTrainer": "trainer", "read_rows": "data"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
