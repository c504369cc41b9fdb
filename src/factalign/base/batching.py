"""Texts of like length put together, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches_by_length(lengths: Sequence[int], budget: int, *, padded: bool) -> Iterator[list[int]]:
    """Positions, longest first, in batches of at most `budget` tokens (or one text).

    Args:
        lengths: Tokens of each text.
        budget: Tokens of a batch.
        padded: Whether each text of a batch takes as much room as its longest one.
    """
    batch: list[int] = []
    width = used = 0
    for position in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        width = width or max(lengths[position], 1)
        size = width if padded else lengths[position]
        if batch and used + size > budget:
            yield batch
            batch, used, width = [], 0, max(lengths[position], 1)
            size = width if padded else lengths[position]
        batch.append(position)
        used += size
    if batch:
        yield batch
