"""How the lexical verifier reads claims and passages: tokens, names, clauses, quantities and the phrases of
facts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from factalign.base.text import WORD, stem
from factalign.base.text.sentences import END_MARKS
from factalign.base.text.words import joins_compass
from factalign.corpora import Fact, Item
from factalign.verifiers import Passage
from factalign.verifiers.lexical.quantities import Quantity, find_quantities
from factalign.verifiers.lexical.vocabulary import (
    ARTICLES,
    AUXILIARIES,
    CLAUSE_OPENERS,
    FUNCTION_WORDS,
    MOSTLY,
    STRONG_OPENERS,
)

_HARD_BREAK = re.compile(rf"[{END_MARKS};](?:\s|$)|\n")
_SOFT_BREAK = re.compile(r"[,()–—]")
_MOSTLY = frozenset(stem(word) for word in MOSTLY)
# Breaks that no phrase goes across.
ENDS = frozenset((".", ":"))
_OF = frozenset(("of", "de", "d'", "du", "da", "al", "el"))


@dataclass
class Token:
    """A word or number. `article` is the article or possessive before it, which is no token of its own."""

    word: str
    stem: str
    start: int
    end: int
    article: str = ""
    breaks: str = ""  # what ends before it: "" nothing, "," a phrase, ":" a heading, "." a sentence


Phrase = tuple[str, ...]


def read_tokens(text: str) -> list[Token]:
    """Tokens of `text` without articles; "south-east" is one. Linear in its length."""
    tokens: list[Token] = []
    article, end = "", 0
    pending = ""
    for match in WORD.finditer(text):
        gap = text[end : match.start()]
        if pending != ".":
            pending = (
                "." if _HARD_BREAK.search(gap) else ":" if ":" in gap else "," if _SOFT_BREAK.search(gap) else pending
            )
        word, end = match.group(), match.end()
        lower = word.lower()
        if lower in ARTICLES:
            article = lower
            continue
        stemmed = stem(word)
        last = tokens[-1] if tokens else None
        if last and not pending and len(gap) == 1 and joins_compass(last.stem, stemmed):
            last.word, last.stem, last.end = f"{last.word}-{word}", last.stem + stemmed, end
            continue
        tokens.append(Token(word, stemmed, match.start(), end, article, pending))
        article, pending = "", ""
    return tokens


@lru_cache(maxsize=500_000)
def phrase(text: str) -> Phrase:
    """The stems of a name or cue, as they match tokens."""
    return tuple(token.stem for token in read_tokens(unicodedata.normalize("NFC", text)))


@dataclass(frozen=True)
class Match:
    """A phrase of the evidence found in a claim, over tokens `start` to `end` (exclusive).

    `fact` is None for a mention of the topic; `item` is None for a cue of the fact.
    """

    start: int
    end: int
    evidence_index: int
    fact: Fact | None = None
    item: Item | None = None


Entry = tuple[Phrase, Fact | None, Item | None]


class ReadPassage:
    """A passage, read once for all claims."""

    def __init__(self, evidence: Passage) -> None:
        self.evidence = evidence
        text = unicodedata.normalize("NFC", evidence.text)
        prefix = f"{evidence.title}. {evidence.field}: "
        if evidence.title and text.startswith(prefix):
            text = text[len(prefix) :]
        self.label = frozenset(phrase(f"{evidence.title} {evidence.field}"))
        stems = [token.stem for token in read_tokens(text)]
        self.body = frozenset(stems)
        self.words = self.body | self.label
        self.pairs = frozenset(pairwise(stems))
        self.quantities = find_quantities(text)
        self.phrases: dict[str, list[Entry]] = defaultdict(list)
        for name in filter(None, (evidence.title, *evidence.aliases)):
            self._add(name, None, None)
        for fact in evidence.facts:
            for cue in fact.cues:
                self._add(cue, fact, None)
            for item in fact.items:
                for name in item.names:
                    self._add(name, fact, item)

    def _add(self, name: str, fact: Fact | None, item: Item | None) -> None:
        stems = phrase(name)
        if stems:
            self.phrases[stems[0]].append((stems, fact, item))

    def has_name(self, name: Phrase) -> bool:
        """Whether the words of `name` stand side by side in the passage (or in its label)."""
        if len(name) == 1:
            return name[0] in self.words
        return all(pair in self.pairs for pair in pairwise(name)) or set(name) <= self.label

    def has_mostly(self, words: list[str]) -> bool:
        """Whether the passage says "mostly", in some word for it, right before each of `words`."""
        return all(any((mostly, word) in self.pairs for mostly in _MOSTLY) for word in words)

    def has_quantity(self, quantity: Quantity) -> bool:
        """Whether a quantity of the passage bears out `quantity`."""
        return any(quantity.close_to(known) for known in self.quantities)


@dataclass
class Clause:
    """A clause of a claim: tokens `start` to `end` (exclusive) of the claim, and what stands among them.

    Positions are those of tokens in the claim. `used` grows as a verifier accounts for them.

    Args:
        tokens: All tokens of the claim.
        start, end: Where the clause lies.
        matches: Phrases of facts.
        names: Runs of capitalised words but the topic's, as (start, end).
        quantities: Position of a quantity's first token -> the quantity, and the position after its last.
        topic: Positions of the topic's names.
        subject: The names of the nearest earlier clause that has some.
    """

    tokens: list[Token]
    start: int
    end: int
    matches: list[Match] = field(default_factory=list)
    names: list[tuple[int, int]] = field(default_factory=list)
    quantities: dict[int, tuple[Quantity, int]] = field(default_factory=dict)
    topic: set[int] = field(default_factory=set)
    subject: list[tuple[int, int]] = field(default_factory=list)
    used: set[int] = field(default_factory=set)

    def stem(self, position: int) -> str:
        """The stem of the token at `position`."""
        return self.tokens[position].stem

    def word(self, position: int) -> str:
        """The token at `position` as written, in lower case."""
        return self.tokens[position].word.lower()

    def stems_of(self, names: list[tuple[int, int]]) -> list[Phrase]:
        """The stems of names, without the topic's words."""
        return [tuple(self.stem(p) for p in range(s, e) if p not in self.topic) for s, e in names]

    def where(self, words: Container[str]) -> list[int]:
        """Positions of the tokens whose stem or written form is among `words`, in order."""
        return [p for p in range(self.start, self.end) if self.stem(p) in words or self.word(p) in words]


def read_clauses(text: str, passages: list[ReadPassage]) -> list[Clause]:
    """The clauses of a claim, read in the light of `passages`. Linear in the length of the claim."""
    text = unicodedata.normalize("NFC", text)
    tokens = read_tokens(text)
    names = list(_names(tokens))
    matches = _whole(_matches(tokens, passages), tokens, names)
    cues = {match.start for match in matches if match.fact is not None and match.item is None}
    clauses = [Clause(tokens, start, end) for start, end in _cuts(tokens, cues)]
    of = [clause for clause in clauses for _ in range(clause.start, clause.end)]
    for match in matches:
        if match.fact is None:
            of[match.start].topic.update(range(match.start, match.end))
        else:
            of[match.start].matches.append(match)
    for start, end in names:
        if not set(range(start, end)) <= of[start].topic:
            of[start].names.append((start, end))
    for position, (quantity, last) in _quantities(text, tokens):
        of[position].quantities[position] = (quantity, last)
    subject: list[tuple[int, int]] = []
    for clause in clauses:
        clause.used |= clause.topic
        clause.subject = subject
        subject = clause.names or subject
    return clauses


def _quantities(text: str, tokens: list[Token]) -> Iterator[tuple[int, tuple[Quantity, int]]]:
    position = 0
    for quantity in find_quantities(text):
        while position < len(tokens) and tokens[position].end <= quantity.start:
            position += 1
        last = position
        while last < len(tokens) and tokens[last].start < quantity.end:
            last += 1
        if position < len(tokens):
            yield position, (quantity, last)


def _matches(tokens: list[Token], passages: list[ReadPassage]) -> list[Match]:
    """The longest phrase at each position, from left to right without overlap, with all facts that share
    it.
    """
    stems = [token.stem for token in tokens]
    result: list[Match] = []
    position = 0
    while position < len(stems):
        best: list[Match] = []
        length = 0
        for index, passage in enumerate(passages):
            for words, fact, item in passage.phrases.get(stems[position], ()):
                if len(words) < length or tuple(stems[position : position + len(words)]) != words:
                    continue
                if any(token.breaks in ENDS for token in tokens[position + 1 : position + len(words)]):
                    continue
                if len(words) > length:
                    best, length = [], len(words)
                best.append(Match(position, position + length, index, fact, item))
        result += _distinct(best)
        position += max(length, 1)
    return result


def _distinct(matches: list[Match]) -> list[Match]:
    """One match for each fact and item, that of the best evidence."""
    first: dict[tuple[int, int] | None, Match] = {}
    for match in matches:
        first.setdefault((id(match.fact), id(match.item)) if match.fact else None, match)
    return list(first.values())


def _names(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """Runs of capitalised words, joined over "of"; a single one that opens a sentence is no name."""
    position = 0
    while position < len(tokens):
        if not _is_capital(tokens[position]):
            position += 1
            continue
        start, end = position, position + 1
        while end < len(tokens) and not tokens[end].breaks:
            if _is_capital(tokens[end]):
                end += 1
            elif _joins(tokens, end):
                end += 2
            else:
                break
        first = tokens[start]
        if (start == 0 or first.breaks == ".") and not first.word.isupper():
            if end == start + 1:
                start = end
            elif tokens[start + 1].stem in _OF and not first.article:  # "Economy of Ghana" names Ghana
                start += 2
        if start < end:
            yield start, end
        position = end


def _joins(tokens: list[Token], position: int) -> bool:
    """Whether an "of" stands between capitalised words."""
    following = tokens[position + 1] if position + 1 < len(tokens) else None
    return tokens[position].stem in _OF and following is not None and _is_capital(following) and not following.breaks


def _is_capital(token: Token) -> bool:
    return token.word[0].isupper() and token.stem not in FUNCTION_WORDS


def _whole(matches: list[Match], tokens: list[Token], names: list[tuple[int, int]]) -> list[Match]:
    """Without items that are only a part of a longer name ("European" in "European Patent Club")."""
    matched = {position for match in matches for position in range(match.start, match.end)}
    torn: set[int] = set()
    for start, end in names:
        if any(_is_capital(tokens[p]) for p in range(start, end) if p not in matched):
            torn.update(range(start, end))
    return [match for match in matches if match.item is None or match.start not in torn]


def _cuts(tokens: list[Token], cues: Container[int]) -> Iterator[tuple[int, int]]:
    """Clauses: cut at sentence ends, before words that open a clause, and at commas before such a word or a
    cue.
    """
    start = 0
    for position in range(1, len(tokens)):
        token = tokens[position]
        last = tokens[position - 1].stem
        after_break = bool(token.breaks) or last in ("and", "but", "or")
        opens = position in cues or token.word.lower() in CLAUSE_OPENERS
        strong = token.word.lower() in STRONG_OPENERS and last not in AUXILIARIES
        if token.breaks == "." or (after_break and opens) or strong:
            yield start, position
            start = position
    if start < len(tokens):
        yield start, len(tokens)
