"""The fit of a multinomial logistic regression, and its cross-validation over groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax

from factalign.verifiers.calibrated.regression import Regression


def fit(table: pd.DataFrame, labels: Sequence[str], classes: Sequence[str], strength: float) -> Regression:
    """The regression that minimises `penalised_loss` over standardised features, by L-BFGS; the same for the same rows.

    Args:
        table: One column a feature.
        labels: The class of each row.
        classes: All of them, in the order of the model.
        strength: Of the penalty.

    Raises:
        ValueError: A class has no row, or a row's label is no class.
    """
    given = pd.Categorical(list(labels), categories=list(classes))
    counts = np.bincount(given.codes[given.codes >= 0], minlength=len(classes))
    if (given.codes < 0).any() or not counts.all():
        raise ValueError(
            f"a fit needs rows of each class and no other; "
            f"rows: {dict(zip(classes, counts.tolist(), strict=True))}, {(given.codes < 0).sum()} others"
        )
    rows = table.to_numpy(dtype="float64")
    means, spread = rows.mean(axis=0), rows.std(axis=0)
    scales = np.where(spread > 0, spread, 1.0)
    standard = (rows - means) / scales
    target = np.eye(len(classes))[given.codes]
    start = np.zeros((len(classes), rows.shape[1] + 1))
    start[:, -1] = np.log(counts / counts.sum())
    found = minimize(
        lambda flat: penalised_loss(flat.reshape(start.shape), standard, target, strength),
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 2000, "ftol": 1e-12, "gtol": 1e-7},
    )
    weights = found.x.reshape(start.shape)
    features = tuple(map(str, table.columns))
    return Regression(tuple(classes), features, means, scales, weights[:, :-1], weights[:, -1], float(strength))


def penalised_loss(
    weights: np.ndarray, rows: np.ndarray, target: np.ndarray, strength: float
) -> tuple[float, np.ndarray]:
    """Mean negative log-likelihood plus strength / 2 · |W|² (without intercepts), and its gradient
    (Bishop 2006, equations 4.108 and 4.109).

    Args:
        weights: [classes x (features + 1)], intercepts last.
        rows: [n x features].
        target: [n x classes], one-hot.
        strength: Of the penalty.
    """
    logs = log_softmax(rows @ weights[:, :-1].T + weights[:, -1], axis=1)
    error = (np.exp(logs) - target) / len(rows)
    gradient = np.column_stack([error.T @ rows + strength * weights[:, :-1], error.sum(axis=0)])
    loss = -(logs * target).sum() / len(rows) + strength / 2 * (weights[:, :-1] ** 2).sum()
    return float(loss), gradient.ravel()


def choose_strength(
    table: pd.DataFrame, labels: Sequence[str], classes: Sequence[str], folds: np.ndarray, strengths: Sequence[float]
) -> tuple[float, pd.DataFrame]:
    """The strength with the least loss on the rows that a fit did not see, and their probabilities under it.

    Args:
        table, labels, classes: As in `fit`.
        folds: The fold of each row; each in turn is left out.
        strengths: To choose from; the larger one where two are as good.
    """
    given = pd.Categorical(list(labels), categories=list(classes)).codes
    found = []
    for strength in sorted(strengths, reverse=True):
        unseen = out_of_fold(table, labels, classes, folds, strength)
        loss = -np.log(unseen.to_numpy()[np.arange(len(given)), given]).mean()
        found.append((float(loss), strength, unseen))
    _, strength, unseen = min(found, key=lambda each: each[0])
    return strength, unseen


def out_of_fold(
    table: pd.DataFrame, labels: Sequence[str], classes: Sequence[str], folds: np.ndarray, strength: float
) -> pd.DataFrame:
    """The probabilities of each row under the fit to the rows of the other folds."""
    given = np.asarray(labels, dtype=object)
    parts = []
    for fold in np.unique(folds):
        model = fit(table[folds != fold], given[folds != fold].tolist(), classes, strength)
        parts.append(model.probabilities(table[folds == fold]))
    return pd.concat(parts).loc[table.index]


def topic_folds(topics: Sequence[str], folds: int, seed: int) -> np.ndarray:
    """The fold of each row: a random one for its topic, all folds of about as many topics.

    Raises:
        ValueError: There are fewer topics than folds.
    """
    names = sorted(set(topics))
    if len(names) < folds:
        raise ValueError(f"calibration.folds: {folds} folds need as many topics, got {len(names)} in the train split")
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[position]: number % folds for number, position in enumerate(order)}
    return np.array([fold[topic] for topic in topics])
