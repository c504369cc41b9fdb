"""The lexical verifier: a claim holds if typed facts, or the words of one passage, bear out its names,
numbers and telling words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from factalign.verifiers import Pair, Passage, Verdict
from factalign.verifiers.lexical.account import ClaimAccount, ClauseAccount
from factalign.verifiers.lexical.quantities import Quantity
from factalign.verifiers.lexical.reading import Clause, Phrase, ReadPassage, read_clauses
from factalign.verifiers.lexical.typed import TypedCheck
from factalign.verifiers.lexical.vocabulary import (
    COMPASS,
    COPULAS,
    FUNCTION_WORDS,
    LIGHT_VERBS,
    MOSTLY,
    NEGATIONS,
    SUPERLATIVES,
    VAGUE,
)

_IDLE = FUNCTION_WORDS | LIGHT_VERBS | VAGUE | NEGATIONS
VERSION = 1
_IRRELEVANT = Verdict("irrelevant", 0.7)


class LexicalVerifier:
    """Deterministic verifier without a model. It knows English, units and directions, and no field.

    A claim is read clause by clause. A clause is `supported` if typed facts of the evidence bear out what
    it says (names, shares, directions, quantities) and one passage holds what they leave open: every name
    and number, and `coverage` of the other telling words, weighted by their rarity. A clause that says
    nothing checkable is `irrelevant`. The claim is `not_supported` if one of its clauses is, else
    `supported` if one of them is. `confidence` is a heuristic, not a calibrated probability.

    Args:
        coverage: Share of the weight of telling words that one passage must hold.
    """

    def __init__(self, coverage: float = 0.7) -> None:
        if not 0 < coverage <= 1:
            raise ValueError(f"lexical: coverage must be above 0 and at most 1, got {coverage}")
        self.coverage = coverage

    @property
    def verifier_id(self) -> str:
        """See `Verifier.verifier_id`."""
        return f"lexical-{VERSION}-coverage={self.coverage:g}"

    def verify(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """See `Verifier.verify`. Time is linear in the length of claims and evidence."""
        return [self._judge_claim(claim, evidence) for claim, evidence in pairs]

    def account(self, text: str, evidence: Sequence[str | Passage]) -> ClaimAccount:
        """The verdict on a claim, and what it was made of."""
        reading = _Reading.of(evidence)
        accounts = [self._account(clause, reading) for clause in read_clauses(text, reading.passages)]
        return ClaimAccount(_join([account.verdict for account in accounts]), tuple(accounts))

    def _judge_claim(self, text: str, evidence: Sequence[str | Passage]) -> Verdict:
        reading = _Reading.of(evidence)
        clauses = read_clauses(text, reading.passages)
        return _join([self._judge_clause(clause, TypedCheck(clause), reading) for clause in clauses])

    def _judge_clause(self, clause: Clause, typed: TypedCheck, reading: _Reading) -> Verdict:
        """The rule: typed facts that contradict decide; then the words that typed facts leave open; a clause without
        such words is as good as the typed facts behind it. A negation turns what would be supported.
        """
        if typed.contradiction is not None:
            return Verdict("not_supported", 0.95, typed.contradiction)
        words = self._check_words(_Open(clause, typed), clause, typed, reading)
        if words is not None and words.label == "not_supported":
            return words
        if words is None and typed.support is None:
            return _IRRELEVANT
        if clause.where(NEGATIONS):  # the evidence has what the clause denies
            return Verdict("not_supported", 0.7)
        return words or Verdict("supported", 0.9, typed.support)

    def _account(self, clause: Clause, reading: _Reading) -> ClauseAccount:
        typed = TypedCheck(clause)
        rest = _Open(clause, typed)
        words = [*rest.words, *rest.required]
        return ClauseAccount(
            verdict=self._judge_clause(clause, typed, reading),
            supported_by_facts=typed.support is not None,
            contradicted_by_facts=typed.contradiction is not None,
            asks_facts=bool(typed.asked),
            coverage=reading.coverage(words),
            names=len(rest.phrases),
            missing_names=sum(not any(p.has_name(name) for p in reading.passages) for name in rest.phrases),
            numbers=len(rest.quantities),
            missing_numbers=sum(not any(p.has_quantity(q) for p in reading.passages) for q in rest.quantities),
            words=len(words),
            missing_words=sum(not any(word in p.words for p in reading.passages) for word in words),
            negated=bool(clause.where(NEGATIONS)),
        )

    def _check_words(self, rest: _Open, clause: Clause, typed: TypedCheck, reading: _Reading) -> Verdict | None:
        """What typed facts left open, against the single passage that holds most of it; None if that is nothing
        checkable.
        """
        if not (rest.phrases or rest.required or rest.words or (rest.quantities and typed.asked)):
            return None
        total = sum(map(reading.weight, rest.words))
        share, index, told = 0.0, None, False
        for position, passage in enumerate(reading.passages):
            if rest.fits(passage):
                found = sum(reading.weight(word) for word in rest.words if word in passage.words)
                covered = found / total if total else 1.0
                tells = bool(rest.phrases or rest.quantities) or reading.tells(passage, rest)
                if (covered, tells) > (share, told):
                    share, index, told = covered, position, tells
        if share >= self.coverage:
            return Verdict("supported", round(0.5 + 0.4 * share, 4), index) if told else None
        specific = rest.is_specific or typed.asked or typed.support is not None
        elsewhere = bool(reading.labels) and reading.labels.isdisjoint(rest.words)
        if elsewhere and not specific and not clause.where(COPULAS):
            return None  # a fragment about nothing that the evidence has a place for
        return Verdict("not_supported", round(0.9 - 0.4 * share, 4), index)


def _join(verdicts: Sequence[Verdict]) -> Verdict:
    """One wrong clause makes a claim wrong, with the confidence of the surest one; a right claim is as sure as its
    least sure clause.
    """
    wrong = [verdict for verdict in verdicts if verdict.label == "not_supported"]
    right = [verdict for verdict in verdicts if verdict.label == "supported"]
    if wrong:
        return max(wrong, key=lambda verdict: verdict.confidence)
    return min(right, key=lambda verdict: verdict.confidence, default=_IRRELEVANT)


class _Open:
    """What a clause says beyond typed facts."""

    def __init__(self, clause: Clause, typed: TypedCheck) -> None:
        names = [(s, e) for s, e in clause.names if not clause.used.issuperset(range(s, e))]
        quantities = {p: row for p, row in clause.quantities.items() if p not in clause.used}
        set_apart = {p for s, e in names for p in range(s, e)}
        set_apart.update(p for first, (_, last) in quantities.items() for p in range(first, last))
        self.phrases: list[Phrase] = [name for name in clause.stems_of(names) if name]
        self.quantities: list[Quantity] = [quantity for quantity, _ in quantities.values()]
        self.words: list[str] = []
        self.required: list[str] = []
        self.mostly: list[str] = []
        for position in range(clause.start, clause.end):
            if position in clause.used or position in set_apart:
                continue
            word = clause.stem(position)
            if clause.word(position) in MOSTLY:
                self.mostly.append(clause.stem(position + 1) if position + 1 < clause.end else "")
            elif word in SUPERLATIVES or word in COMPASS:
                self.required.append(word)
            elif word not in _IDLE:
                self.words.append(word)
        if self.required:  # "largest in Africa": a superlative and what it ranges over belong together
            self.required += [word for name in clause.stems_of(clause.names or clause.subject) for word in name]
        self.cues = {clause.stem(p) for p in typed.asked} - FUNCTION_WORDS if typed.support is None else set()
        # Words that say what kind of thing is claimed: a lone name or word found elsewhere proves little.
        inside = set(range(clause.start, clause.end)) - clause.topic - set_apart
        self.context = {clause.stem(position) for position in inside} - FUNCTION_WORDS
        self.is_specific = bool(self.phrases or self.quantities or self.required or self.mostly)

    def fits(self, passage: ReadPassage) -> bool:
        """Whether a passage holds all that cannot be left out."""
        if not all(map(passage.has_name, self.phrases)) or not passage.words.issuperset(self.required):
            return False
        if not passage.has_mostly(self.mostly) or not all(map(passage.has_quantity, self.quantities)):
            return False
        if self.cues and passage.words.isdisjoint(self.cues):
            return False
        if not self.words:
            return not passage.words.isdisjoint(self.context)
        alone = len(self.words) == 1 and not self.phrases and not self.quantities
        return not (alone and passage.label and passage.label.isdisjoint(self.context))


@dataclass
class _Reading:
    """The evidence of one claim."""

    passages: list[ReadPassage]

    @classmethod
    def of(cls, evidence: Sequence[str | Passage]) -> _Reading:
        """`evidence`, read."""
        return cls([_read(item if isinstance(item, Passage) else Passage(item)) for item in evidence])

    def __post_init__(self) -> None:
        self.labels: frozenset[str] = frozenset().union(*(passage.label for passage in self.passages))
        self._frequency = Counter(word for passage in self.passages for word in passage.words)

    def weight(self, word: str) -> float:
        """Inverse document frequency over the evidence, above 0 for a word that all passages have."""
        return math.log((len(self.passages) + 1) / (self._frequency[word] + 0.5)) + 0.2

    def coverage(self, words: Sequence[str]) -> float | None:
        """The largest share of the weight of `words` that one passage holds; None without words."""
        total = sum(map(self.weight, words))
        held = (sum(self.weight(word) for word in words if word in passage.words) for passage in self.passages)
        return max(held, default=0.0) / total if words else None

    def tells(self, passage: ReadPassage, rest: _Open) -> bool:
        """Whether a passage has a word of the clause in its text that is not just the label of some field."""
        return any(word in passage.body and word not in self.labels for word in (*rest.words, *rest.required))


@lru_cache(maxsize=20_000)
def _read(evidence: Passage) -> ReadPassage:
    return ReadPassage(evidence)
