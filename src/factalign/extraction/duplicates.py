"""Which claims say the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from factalign.base.text import PLAIN_WORD, normalise, plain_stems, stem

_COMPASS = re.compile(r"(?:north|south|east|west)")
NEAR_DUPLICATE = 0.8


def find_duplicates(texts: Sequence[str]) -> list[int | None]:
    """For each claim the position of the first that says the same, None for a first one.

    The same: equal but for case and punctuation; or the same names, numbers and directions, and word sets
    that overlap by `NEAR_DUPLICATE` (Jaccard). Candidates are found by prefix filtering (Chaudhuri et al.
    2006), not pair by pair.
    """
    bags = [plain_stems(text) for text in texts]
    hard = [_hard_words(text) for text in texts]
    frequency = Counter(word for bag in bags for word in bag)
    seen: dict[str, int] = {}
    by_word: dict[tuple[frozenset[str], str], list[int]] = defaultdict(list)
    result: list[int | None] = []
    for position, text in enumerate(texts):
        bag, key = bags[position], normalise(text)
        rare = sorted(bag, key=lambda word: (frequency[word], word))[: int((1 - NEAR_DUPLICATE) * len(bag)) + 1]
        first = seen.get(key)
        if first is None:
            candidates = {other for word in rare for other in by_word[hard[position], word]}
            near = (o for o in candidates if len(bags[o] & bag) >= NEAR_DUPLICATE * len(bags[o] | bag))
            first = min(near, default=None)
        result.append(first)
        if first is None:
            seen[key] = position
            for word in rare:
                by_word[hard[position], word].append(position)
    return result


def _hard_words(text: str) -> frozenset[str]:
    """Words in which two claims that say the same cannot differ: numbers, names, directions, negations."""
    words = PLAIN_WORD.findall(text)
    return frozenset(
        stem(word)
        for position, word in enumerate(words)
        if any(char.isdigit() for char in word)
        or (position > 0 and word[0].isupper())
        or _COMPASS.match(word.lower())
        or word.lower() in ("not", "no", "never", "without")
    )
