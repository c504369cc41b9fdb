from .claims import extract_claims
from .duplicates import find_duplicates
from .protocol import EXTRACTORS, ClaimExtractor, ContextualExtractor
from .sentences import split_responses
from .topics import topics_of

__all__ = [
    "EXTRACTORS",
    "ClaimExtractor",
    "ContextualExtractor",
    "extract_claims",
    "find_duplicates",
    "split_responses",
    "topics_of",
]
