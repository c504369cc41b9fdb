from .config import FKTOConfig
from .rows.data import read_rows
from .run.manifest import Manifest
from .trainer import FKTOTrainer

__all__ = [
    "FKTOConfig",
    "FKTOTrainer",
    "Manifest",
    "read_rows",
]
