from .config import DistillationConfig
from .synthesis import passages_from_evidence, synthesise_claims
from .training import distil, train_verifier

__all__ = [
    "DistillationConfig",
    "distil",
    "passages_from_evidence",
    "synthesise_claims",
    "train_verifier",
]
