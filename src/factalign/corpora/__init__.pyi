from .facts import Fact, Item, facts_from_json, facts_to_json
from .prompts import PromptConfig, build_prompts, read_prompts
from .protocol import CORPORA
from .table import load_corpus, topics

__all__ = [
    "CORPORA",
    "Fact",
    "Item",
    "PromptConfig",
    "build_prompts",
    "facts_from_json",
    "facts_to_json",
    "load_corpus",
    "read_prompts",
    "topics",
]
