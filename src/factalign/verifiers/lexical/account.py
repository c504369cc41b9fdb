"""What the lexical verifier saw in a claim before its rule made one verdict of it."""

from __future__ import annotations

from dataclasses import dataclass

from factalign.verifiers import Verdict


@dataclass(frozen=True)
class ClauseAccount:
    """A clause against its evidence.

    "Missing" is what no passage of the evidence holds; words are telling ones, those that typed facts left open.

    Attributes:
        verdict: What the rule says of it.
        supported_by_facts: Typed facts bear out some of its words.
        contradicted_by_facts: Typed facts contradict it.
        asks_facts: It has words that ask about a typed fact.
        coverage: The largest share of the weight of its words that one passage holds; None if it has none.
        names, missing_names: Names beyond the topic's.
        numbers, missing_numbers: Numbers beyond those that typed facts bear out.
        words, missing_words: Other telling words, superlatives and directions included.
        negated: It denies something.
    """

    verdict: Verdict
    supported_by_facts: bool
    contradicted_by_facts: bool
    asks_facts: bool
    coverage: float | None
    names: int
    missing_names: int
    numbers: int
    missing_numbers: int
    words: int
    missing_words: int
    negated: bool


@dataclass(frozen=True)
class ClaimAccount:
    """A claim: the verdict of the rule, and what its clauses gave."""

    verdict: Verdict
    clauses: tuple[ClauseAccount, ...]

    def total(self, name: str) -> int:
        """The sum of a number (or count of a truth) over the clauses."""
        return sum(getattr(clause, name) for clause in self.clauses)

    @property
    def coverage(self) -> float | None:
        """The lowest coverage of a clause; None if no clause has telling words."""
        return min((c.coverage for c in self.clauses if c.coverage is not None), default=None)
