"""A clause against typed facts: which of its words they bear out, and whether they contradict it."""

from __future__ import annotations

from bisect import bisect_left

from factalign.corpora import Fact, Item
from factalign.verifiers.lexical.quantities import Quantity
from factalign.verifiers.lexical.reading import Clause, Match
from factalign.verifiers.lexical.vocabulary import COMPASS, MINORITY, MOSTLY

_IN = frozenset(("in", "within", "of", "at", "across", "on"))


class TypedCheck:
    """Accounts for the words of `clause` that facts bear out.

    `contradiction` and `support` are positions of evidence (None: there is none); `asked` holds the
    positions of the words that ask about facts. Words accounted for are added to `clause.used`.
    """

    def __init__(self, clause: Clause) -> None:
        self.clause = clause
        self.support: int | None = None
        self.asked: set[int] = set()
        self._quantifiers = clause.where(MOSTLY | MINORITY)
        cues: dict[int, Match] = {}
        for match in clause.matches:
            if match.item is None:
                cues.setdefault(id(match.fact), match)
                self.asked.update(range(match.start, match.end))
        clause.used |= self.asked
        items = [match for match in clause.matches if match.item is not None]
        # Facts that need a cue say nothing about a clause without one.
        self._items = [(m, m.fact, m.item) for m in items if m.fact and m.item]
        self._items = [row for row in self._items if not row[1].needs_cue or id(row[1]) in cues]
        taken = {position for m, _, _ in self._items for position in range(m.start, m.end)}
        self._compass = [position for position in clause.where(COMPASS) if position not in taken]
        self.contradiction = self._check_cues(list(cues.values()), items)
        if self.contradiction is None:
            self.contradiction = self._check_items()

    def _check_cues(self, cues: list[Match], items: list[Match]) -> int | None:
        """Whether the clause asks about a fact and names something else, or another number, than what
        holds.
        """
        named: dict[str, set[int]] = {}
        for match in items:
            if match.fact:
                named.setdefault(match.fact.relation, set()).update(range(match.start, match.end))
        places = {p for m, _, _ in self._items if self._in_place(m) for p in range(m.start, m.end)}
        for cue in cues:
            fact = cue.fact
            if fact is None:
                continue
            if fact.quantity is not None:
                wrong = self._misses_quantity(fact, cue)
            else:
                own = named.get(fact.relation, set())
                # "capital of Mali, in West Africa": a second name may say where, if the first is right.
                exempt = places if own or not fact.needs_cue else set()
                wrong = fact.complete and self._names_other(own, exempt)
            if wrong:
                return cue.evidence_index
        return None

    def _in_place(self, match: Match) -> bool:
        return match.start > 0 and self.clause.stem(match.start - 1) in _IN

    def _names_other(self, own: set[int], exempt: set[int]) -> bool:
        for start, end in self.clause.names:
            positions = set(range(start, end)) - self.clause.topic
            if positions and not positions & own and not positions <= exempt:
                return True
        return False

    def _misses_quantity(self, fact: Fact, cue: Match) -> bool:
        known = Quantity(fact.quantity or 0.0, fact.unit, False, 0, 0)
        asked = False
        for position, (quantity, last) in self.clause.quantities.items():
            if quantity.unit == fact.unit and position not in self.clause.used:
                if quantity.close_to(known):
                    self._hold(position, last, cue.evidence_index)
                    return False
                asked = True
        return asked and fact.complete

    def _check_items(self) -> int | None:
        shares = [(p, q, last) for p, (q, last) in self.clause.quantities.items() if q.unit == "%"]
        for match, fact, item in self._items:
            if not item.holds:
                return match.evidence_index
            if fact.generic:  # "is a country" says nothing, and "the country" stands for the topic
                self.clause.used.update(range(match.start, match.end))
                continue
            if item.share is not None and not self._share_fits(match, item.share, shares):
                return match.evidence_index
            if not self._direction_fits(match, item):
                return match.evidence_index
            self._hold(match.start, match.end, match.evidence_index)
        return None

    def _share_fits(self, match: Match, share: float, stated: list[tuple[int, Quantity, int]]) -> bool:
        """A stated share must fit: "85% Christian", "predominantly Muslim", "a Hindu minority"."""
        known = Quantity(share, "%", False, 0, 0)
        if stated:
            position, quantity, last = min(stated, key=lambda row: abs(row[0] - match.start))
            if not quantity.close_to(known):
                return False
            self.clause.used.update(range(position, last))
        # The quantifier right behind ("Muslim majority"), else the nearest one before.
        behind = bisect_left(self._quantifiers, match.end)
        if behind < len(self._quantifiers) and self._quantifiers[behind] == match.end:
            position = match.end
        elif behind > 0:
            position = self._quantifiers[behind - 1]
        else:
            return True
        self.clause.used.add(position)
        return share >= 50 if self.clause.word(position) in MOSTLY else share < 50

    def _direction_fits(self, match: Match, item: Item) -> bool:
        """A stated direction must fit: the first one behind the item, unless one before it leads to "by"."""
        behind = bisect_left(self._compass, match.end)
        before = self._compass[behind - 1] if behind > 0 else None
        leads = before is not None and self.clause.stem(before + 1) in ("by", "with")
        position = self._compass[behind] if behind < len(self._compass) and not leads else before
        if position is None or item.bearing is None:
            return True
        self.clause.used.add(position)
        off = abs((COMPASS[self.clause.stem(position)] - item.bearing + 180) % 360 - 180)
        return off <= item.spread

    def _hold(self, start: int, end: int, evidence_index: int) -> None:
        self.clause.used.update(range(start, end))
        if self.support is None:
            self.support = evidence_index
