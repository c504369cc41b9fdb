"""Multinomial logistic regression: its probabilities, and how it is written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax


@dataclass(frozen=True)
class Regression:
    """P(class | features) = softmax(W z + b) of the standardised features z = (x - mean) / scale.

    Attributes:
        classes: Names of the classes.
        features: Names of the features.
        means, scales: Of each feature, over the training set.
        weights: [classes x features].
        intercepts: One a class.
        strength: Of the L2 penalty that it was fitted with.
    """

    classes: tuple[str, ...]
    features: tuple[str, ...]
    means: np.ndarray
    scales: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray
    strength: float

    def probabilities(self, table: pd.DataFrame) -> pd.DataFrame:
        """One column a class, the rows of `table`, of which the columns `features` are read."""
        values = self.of_rows(table[list(self.features)].to_numpy(dtype="float64"))
        return pd.DataFrame(values, index=table.index, columns=list(self.classes))

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """[n x features] to [n x classes]."""
        return softmax((rows - self.means) / self.scales @ self.weights.T + self.intercepts, axis=1)

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "classes": list(self.classes),
            "strength": self.strength,
            "intercepts": dict(zip(self.classes, self.intercepts.tolist(), strict=True)),
            "features": {
                name: {
                    "mean": float(self.means[column]),
                    "scale": float(self.scales[column]),
                    "weights": dict(zip(self.classes, self.weights[:, column].tolist(), strict=True)),
                }
                for column, name in enumerate(self.features)
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Regression:
        """The inverse of `to_json`.

        Raises:
            ValueError: Something is missing or no finite number.
        """
        try:
            classes, features = tuple(content["classes"]), content["features"]
            columns = list(features.values())
            read = cls(
                classes=classes,
                features=tuple(features),
                means=_numbers([each["mean"] for each in columns]),
                scales=_numbers([each["scale"] for each in columns]),
                weights=_numbers([[each["weights"][name] for each in columns] for name in classes]),
                intercepts=_numbers([content["intercepts"][name] for name in classes]),
                strength=float(content["strength"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a regression: {type(error).__name__}: {error}") from error
        if not (read.scales > 0).all():
            raise ValueError("not a regression: every scale must be above 0")
        return read


def _numbers(values: Sequence[Any]) -> np.ndarray:
    array = np.array(values, dtype="float64")
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    return array
