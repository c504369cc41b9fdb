from .protocol import VERIFIERS, Pair, Passage, Verdict, Verifier, load_verifier

__all__ = [
    "VERIFIERS",
    "Pair",
    "Passage",
    "Verdict",
    "Verifier",
    "load_verifier",
]
