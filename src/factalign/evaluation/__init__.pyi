from .evaluator import Evaluation, evaluate, warn_of_topics
from .evidence import retrieve_evidence
from .formulas import f1_at_k, factscore, precision, recall_at_k
from .given import read_responses
from .scores import score_responses, score_sentences
from .verdicts import VerificationError, verify_claims

__all__ = [
    "Evaluation",
    "VerificationError",
    "evaluate",
    "f1_at_k",
    "factscore",
    "precision",
    "read_responses",
    "recall_at_k",
    "retrieve_evidence",
    "score_responses",
    "score_sentences",
    "verify_claims",
    "warn_of_topics",
]
