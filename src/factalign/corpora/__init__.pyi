from .facts import Fact, Item, facts_from_json, facts_to_json
from .general import GENERAL_AIDS, GENERAL_PROMPTS
from .prompts import PromptConfig, build_prompts, read_prompts
from .protocol import CORPORA, Corpus, PromptTemplates, ReadingAids
from .reading import read_passages, topics
from .table import TableCorpus

__all__ = [
    "CORPORA",
    "GENERAL_AIDS",
    "GENERAL_PROMPTS",
    "Corpus",
    "Fact",
    "Item",
    "PromptConfig",
    "PromptTemplates",
    "ReadingAids",
    "TableCorpus",
    "build_prompts",
    "facts_from_json",
    "facts_to_json",
    "read_passages",
    "read_prompts",
    "topics",
]
