"""Long evidence cut into windows that a classifier can read, and those of them that a claim is about."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from factalign.base.text import split_sentences, stems


def cut_windows(text: str, tokenizer: Any, size: int) -> list[str]:
    """Windows of whole sentences, at most `size` tokens each, that overlap by a sentence where one fits.

    A sentence longer than a window is cut. Text that fits stays whole; text without a token gives nothing.
    """
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    if len(offsets) <= size:
        return [text] * bool(offsets)
    pieces = list(_pieces(text, [start for start, _ in offsets], size))
    windows, first = [], 0
    while first < len(pieces):
        last, total = first, 0
        while last < len(pieces) and total + pieces[last][2] <= size:
            total += pieces[last][2]
            last += 1
        windows.append(text[pieces[first][0] : pieces[last - 1][1]].strip())
        first = last - 1 if last < len(pieces) and last - first > 1 else last
    return windows


def _pieces(text: str, starts: list[int], size: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, tokens) of sentences, and of the parts of those that are longer than a window."""
    bounds = [0, *(bisect_left(starts, start) for start, _ in split_sentences(text)), len(starts)]
    for low, high in zip(bounds, bounds[1:], strict=False):
        for part in range(low, high, size):
            end = min(part + size, high)
            yield starts[part], starts[end] if end < len(starts) else len(text), end - part


def most_alike(sentence: str, windows: Sequence[str], count: int) -> list[int]:
    """Positions of the `count` windows that share most with the sentence, rare words before common ones; in order.

    Windows that share no word with it are left out.
    """
    bags = [_bag(window) for window in windows]
    frequency = Counter(word for bag in bags for word in bag)
    wanted = {word: math.log((len(bags) + 1) / (frequency[word] + 0.5)) for word in _bag(sentence)}
    related = [position for position, bag in enumerate(bags) if bag & wanted.keys()]
    shared = {position: sum(wanted[word] for word in bags[position] & wanted.keys()) for position in related}
    return sorted(sorted(related, key=lambda position: -shared[position])[:count])


@lru_cache(maxsize=50_000)
def _bag(text: str) -> frozenset[str]:
    return frozenset(stems(text))
