from .config import FKTOConfig
from .data import read_rows
from .manifest import Manifest
from .trainer import FKTOTrainer

__all__ = [
    "FKTOConfig",
    "FKTOTrainer",
    "Manifest",
    "read_rows",
]
