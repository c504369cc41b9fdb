"""fKTO: KTO on whole responses and on their sentences (Huang & Chen, 2024, arXiv 2410.01691).

`FKTOConfig` and `FKTOTrainer` are re-exported; importing the package itself loads neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factalign.lazy import lazy_exports

if TYPE_CHECKING:
    from factalign.fkto.config import FKTOConfig
    from factalign.fkto.data import read_rows
    from factalign.fkto.trainer import FKTOTrainer

__all__ = ["FKTOConfig", "FKTOTrainer", "read_rows"]

__getattr__ = lazy_exports(__name__, {"FKTOConfig": "config", "FKTOTrainer": "trainer", "read_rows": "data"})
