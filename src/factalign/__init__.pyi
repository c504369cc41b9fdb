from .evaluation import Evaluation, evaluate
from .fkto import FKTOConfig, FKTOTrainer
from .verifiers import load_verifier

__all__ = ["Evaluation", "FKTOConfig", "FKTOTrainer", "evaluate", "load_verifier"]

__version__: str
