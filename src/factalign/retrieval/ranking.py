"""The best of many scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best(rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `k` rows with the largest scores, and those scores; ties in the order of rows. Both are [n] arrays."""
    if len(rows) > k:
        enough = scores >= np.partition(scores, -k)[-k]
        rows, scores = rows[enough], scores[enough]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]
