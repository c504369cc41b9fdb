from .protocol import VERIFIERS, Pair, Passage, Verdict, Verifier, load_verifier
from .tables import passages_by_id

__all__ = [
    "VERIFIERS",
    "Pair",
    "Passage",
    "Verdict",
    "Verifier",
    "load_verifier",
    "passages_by_id",
]
