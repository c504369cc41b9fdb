from .characters import hidden_characters, well_formed
from .markdown import without_markup
from .repetition import distinct_2, repeated_sentences
from .sentences import ends_sentence, last_sentence_end, split_sentences
from .words import PLAIN_WORD, WORD, fold, normalise, plain_stems, stem, stems, with_topic, words

__all__ = [
    "PLAIN_WORD",
    "WORD",
    "distinct_2",
    "ends_sentence",
    "fold",
    "hidden_characters",
    "last_sentence_end",
    "normalise",
    "plain_stems",
    "repeated_sentences",
    "split_sentences",
    "stem",
    "stems",
    "well_formed",
    "with_topic",
    "without_markup",
    "words",
]
