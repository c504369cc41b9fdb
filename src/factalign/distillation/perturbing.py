"""Sentences that say something else than a given one, by one change: an entity, number, date, negation,
direction or relation.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable

from factalign.distillation.rewording import MONTHS

_NAME = re.compile(r"(?<![\w.])[A-Z][\w’'-]*(?:(?: (?:of|de|the|and|von|van|al))?(?: [A-Z][\w’'-]*))*")
_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w,])|(?<![\w.,-])\d+(?:\.\d+)?(?![\w,]|\.\d)")
_MONTH = re.compile(rf"\b(?:{'|'.join(MONTHS)})\b")
_AUXILIARY = re.compile(r"\b(?:is|are|was|were|has been|have been|had|can|could|will|would|should|does|did)\b(?! not)")
_NEGATION = re.compile(r"\b(?:not|never) ", re.IGNORECASE)
_COUNT_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty")
_OPPOSITES = """
north/south east/west northern/southern eastern/western northeast/southwest northwest/southeast
increase/decrease increased/decreased increases/decreases increasing/decreasing rose/fell higher/lower high/low
more/less most/least largest/smallest larger/smaller biggest/smallest longest/shortest oldest/youngest
first/last before/after early/late earlier/later older/younger won/lost winner/loser winning/losing win/lose
majority/minority all/none always/never many/few best/worst better/worse positive/negative public/private
male/female man/woman men/women son/daughter brother/sister father/mother husband/wife born/died
began/ended opened/closed joined/left arrived/departed bought/sold import/export imports/exports
above/below inside/outside upper/lower left/right long/short hot/cold rich/poor strong/weak fast/slow
success/failure successful/unsuccessful accepted/rejected allowed/banned legal/illegal safe/dangerous
same/different with/without ancient/modern domestic/foreign rural/urban coastal/inland summer/winter
morning/evening day/night American/British English/French German/Italian red/blue black/white gold/silver
million/billion hundred/thousand percent/million kilometers/meters miles/feet
album/film song/book band/team university/museum novel/poem actor/politician singer/scientist player/coach
director/doctor river/mountain island/city bridge/church school/hospital company/club war/election
"""
_OPPOSITE = {word: other for pair in _OPPOSITES.split() for word, other in (pair.split("/"), pair.split("/")[::-1])}
_OPPOSED = re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, _OPPOSITE), key=len, reverse=True)) + r")\b")
_WORD = re.compile(r"(?<=[a-z] )[a-z]{4,}(?=[ .,;])")


class Perturber:
    """Changes sentences, with names and words of the corpus as what to put in.

    Args:
        sentences: Of the whole corpus.
    """

    def __init__(self, sentences: Iterable[str]) -> None:
        self._names: dict[str, list[str]] = defaultdict(list)
        self._words: dict[str, list[str]] = defaultdict(list)
        for sentence in sentences:
            for match in names(sentence):
                self._names[_before(sentence, match.start())].append(match.group())
                self._names[""].append(match.group())
            for match in _WORD.finditer(sentence):
                self._words[_before(sentence, match.start())].append(match.group())
        self.kinds: dict[str, Callable[[str, random.Random], str]] = {
            "entity": self._entity,
            "number": _number,
            "date": _date,
            "negation": _negation,
            "opposite": _opposite,
            "relation": _relation,
            "word": self._word,
        }

    def perturb(self, sentence: str, rng: random.Random) -> tuple[str, str] | None:
        """A kind of change and the changed sentence; None where no kind applies."""
        weights = {"entity": 3, "number": 3, "word": 3}
        order = sorted(self.kinds, key=lambda kind: rng.random() ** (1 / weights.get(kind, 1)), reverse=True)
        for kind in order:
            changed = self.kinds[kind](sentence, rng)
            if changed and changed != sentence:
                return kind, changed
        return None

    def _entity(self, sentence: str, rng: random.Random) -> str:
        found = names(sentence)
        if not found:
            return ""
        match = rng.choice(found)
        pool = self._names[_before(sentence, match.start())]
        other = rng.choice(pool if len(set(pool)) > 3 else self._names[""])
        if set(other.lower().split()) & set(match.group().lower().split()):
            return ""
        return sentence[: match.start()] + other + sentence[match.end() :]

    def _word(self, sentence: str, rng: random.Random) -> str:
        found = list(_WORD.finditer(sentence))
        if not found:
            return ""
        match = rng.choice(found)
        pool = self._words[_before(sentence, match.start())]
        other = rng.choice(pool) if len(set(pool)) > 5 else ""
        if not other or other[:4] == match.group()[:4]:
            return ""
        return sentence[: match.start()] + other + sentence[match.end() :]


def names(sentence: str) -> list[re.Match[str]]:
    """Capitalised runs that are names: a single word that opens the sentence is not."""
    return [m for m in _NAME.finditer(sentence) if len(m.group()) > 2 and (m.start() > 0 or " " in m.group())]


def _before(sentence: str, position: int) -> str:
    words = sentence[max(0, position - 20) : position].split()
    return words[-1].lower() if words else ""


def _number(sentence: str, rng: random.Random) -> str:
    found = list(_NUMBER.finditer(sentence))
    if found and rng.random() < 0.85:
        match = rng.choice(found)
        return sentence[: match.start()] + _other_number(match.group(), rng) + sentence[match.end() :]
    words = [m for m in re.finditer(r"[a-z]+", sentence) if m.group() in _COUNT_WORDS]
    if not words:
        return ""
    match = rng.choice(words)
    return sentence[: match.start()] + rng.choice(_COUNT_WORDS) + sentence[match.end() :]


def _other_number(text: str, rng: random.Random) -> str:
    value, decimals = float(text.replace(",", "")), len(text.partition(".")[2])
    if "," not in text and not decimals and 1000 <= value <= 2100:
        return f"{value + rng.choice((-1, 1)) * rng.choice((1, 2, 3, 5, 10, 20, 50)):.0f}"
    if value < 20 and not decimals:
        return f"{value + rng.choice((1, 2, 3, 5)):.0f}"
    other = value * rng.choice((0.1, 0.3, 0.5, 0.7, 1.3, 1.6, 2, 3, 10))
    return f"{other:,.{decimals}f}" if "," in text else f"{other:.{decimals}f}"


def _date(sentence: str, rng: random.Random) -> str:
    found = list(_MONTH.finditer(sentence))
    if not found:
        return ""
    match = rng.choice(found)
    return sentence[: match.start()] + rng.choice(MONTHS) + sentence[match.end() :]


def _negation(sentence: str, rng: random.Random) -> str:
    if _NEGATION.search(sentence):
        return _NEGATION.sub("", sentence, count=1)
    return _AUXILIARY.sub(lambda match: f"{match.group()} not", sentence, count=1)


def _opposite(sentence: str, rng: random.Random) -> str:
    found = list(_OPPOSED.finditer(sentence))
    if not found:
        return ""
    match = rng.choice(found)
    return sentence[: match.start()] + _OPPOSITE[match.group()] + sentence[match.end() :]


def _relation(sentence: str, rng: random.Random) -> str:
    """Two names change places, unless they stand in one list."""
    found = names(sentence)
    if len(found) < 2:
        return ""
    position = rng.randrange(len(found) - 1)
    first, second = found[position], found[position + 1]
    between = sentence[first.end() : second.start()]
    if re.fullmatch(r"\W*(?:and|or)?\W*", between) or first.group() == second.group():
        return ""
    return sentence[: first.start()] + second.group() + between + first.group() + sentence[second.end() :]
