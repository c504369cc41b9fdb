"""How far two label alike, from counts of pairs of labels."""

from __future__ import annotations

import numpy as np

from factalign.base.estimates import divide


def agreed_share(counts: np.ndarray) -> np.ndarray:
    """The share of the diagonal of [... x labels x labels] counts."""
    return divide(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def cohen_kappa(counts: np.ndarray) -> np.ndarray:
    """κ = (p_o - p_e) / (1 - p_e) of [... x labels x labels] counts (Cohen 1960); NaN where there is but one label."""
    by_chance = divide((counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1), counts.sum(axis=(-2, -1)) ** 2)
    return divide(agreed_share(counts) - by_chance, 1 - by_chance)
