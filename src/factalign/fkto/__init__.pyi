from .config import FKTOConfig
from .data import read_rows
from .trainer import FKTOTrainer

__all__ = [
    "FKTOConfig",
    "FKTOTrainer",
    "read_rows",
]
