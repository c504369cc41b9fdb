"""Probabilities out of a classifier's scores: Platt scaling, kept as `calibration.json` beside the weights."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

FILE = "calibration.json"
FLAT = 1e-6  # a scale of scores that tell nothing
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibration:
    """P(supported) is the logistic function of `scale` · logit + `offset` (Platt 1999); a temperature is
    1 / `scale`.

    Args:
        scale: Above 0.
        offset: Shifts the logit.
        threshold: A claim is supported from this probability on.
    """

    scale: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"calibration: scale must be above 0, got {self.scale}")
        if not 0 < self.threshold < 1:
            raise ValueError(f"calibration: threshold must be between 0 and 1, got {self.threshold}")

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """P(supported) of logits, in the same shape."""
        return np.asarray(expit(self.scale * np.asarray(logits, dtype=float) + self.offset))

    def save(self, folder: str | Path) -> None:
        """Write `calibration.json` into `folder`."""
        (Path(folder) / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def load_calibration(folder: str | Path) -> Calibration:
    """The calibration saved in `folder`; the identity where there is none.

    Raises:
        ValueError: The file is not one of `Calibration.save`.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return Calibration()
    try:
        return Calibration(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: must be a JSON object with scale, offset and threshold: {error}") from error


def fit_calibration(logits: ArrayLike, supported: ArrayLike) -> Calibration:
    """The calibration of greatest likelihood. Its threshold is one half: no label is then given that is the less
    likely one.

    Targets are Platt's smoothed ones (1999, section 2.2), so that separable data has a finite optimum. Scores
    that are not higher for supported claims tell nothing: they get the share of supported claims for all.

    Args:
        logits: One a claim.
        supported: The labels of the same claims.

    Raises:
        ValueError: A class is missing.
    """
    x, y = np.asarray(logits, dtype=float), np.asarray(supported, dtype=bool)
    positive, negative = int(y.sum()), int((~y).sum())
    if not positive or not negative:
        raise ValueError(f"calibration needs both classes, got {positive} supported and {negative} other claims")
    target = np.where(y, (positive + 1) / (positive + 2), 1 / (negative + 2))
    centre, spread = x.mean(), x.std() or 1.0
    standard = (x - centre) / spread

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean cross-entropy, and its gradient."""
        score = weights[0] * standard + weights[1]
        gap = expit(score) - target
        return np.mean(np.logaddexp(0, score) - target * score), np.array([np.mean(gap * standard), np.mean(gap)])

    slope, shift = minimize(loss, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    if slope <= FLAT:
        logger.warning("the scores are no higher for supported claims than for others: the classifier learnt nothing")
        return Calibration(FLAT, float(np.log(positive / negative)))
    scale = float(slope / spread)
    return Calibration(scale, float(shift - scale * centre))
