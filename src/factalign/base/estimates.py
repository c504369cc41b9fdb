"""Estimates with intervals: what they are, how they are written, and the bootstrap that makes them.

Whoever resamples draws whole groups (a prompt with its samples, a topic with its claims), since what belongs together
errs together. Missing values are left out of a mean, never counted as 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
_BLOCK_CELLS = 4_000_000  # resamples x groups held at once, 32 MB

Unit = Literal["share", "count"]


@dataclass(frozen=True)
class Estimate:
    """A number, or a difference, with its interval. In JSON: its fields, those without a value left out but for the
    first three.

    Attributes:
        value: None where there was nothing to count.
        low: Lower end of the interval of `CONFIDENCE`.
        high: Upper end.
        p_value: Of the test that the true value is 0, for differences.
        n: How many groups (prompts, topics, documents) it rests on.
        unit: "share" (of 1, three decimals) or "count" (two).
    """

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None = None
    n: int | None = None
    unit: Unit = "share"

    @classmethod
    def from_json(cls, estimate: Mapping[str, Any]) -> Estimate:
        """The inverse of `to_json`; keys that no estimate has are passed over."""
        return cls(**{field.name: estimate[field.name] for field in fields(cls) if field.name in estimate})

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold."""
        needed = ("value", "low", "high", "unit")
        return {key: value for key, value in asdict(self).items() if value is not None or key in needed}

    @property
    def is_resolved(self) -> bool:
        """Whether the interval of a difference excludes 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def number(self, which: Literal["value", "low", "high"] = "value", *, signed: bool = False) -> str:
        """One of the three numbers with the decimals of the unit, "–" if it is missing."""
        number = getattr(self, which)
        return "–" if number is None else f"{number:{'+' if signed else ''}.{3 if self.unit == 'share' else 2}f}"

    def interval(self, *, signed: bool = False) -> str:
        """Low and high as `[0.118, 0.170]`."""
        return f"[{self.number('low', signed=signed)}, {self.number('high', signed=signed)}]"

    def text(self, *, signed: bool = False) -> str:
        """Value and interval as `0.144 [0.118, 0.170]`."""
        return f"{self.number(signed=signed)} {self.interval(signed=signed)}"


def estimates_of(table: pd.DataFrame, units: Mapping[str, Unit] | None = None) -> dict[str, Estimate]:
    """One estimate a row of `table` (`value`, `low`, `high`, optionally `p_value` and `n`), by its index.

    Args:
        table: As `bootstrap_mean` makes it.
        units: Of those that are not shares.
    """
    return {
        str(name): Estimate(
            **{key: _plain(key, row[key]) for key in ("value", "low", "high", "p_value", "n") if key in row},
            unit=(units or {}).get(str(name), "share"),
        )
        for name, row in table.iterrows()
    }


def estimates_of_draws(
    draws: np.ndarray, names: Sequence[str], *, n: int, units: Mapping[str, Unit] | None = None
) -> dict[str, Estimate]:
    """Estimates with percentile intervals from metrics that are no means.

    Args:
        draws: [1 + resamples x metrics]: of everything, then of each draw; NaN where there was nothing to count.
        names: Of the metrics.
        n: How many groups were drawn from.
        units: Of the metrics that are not shares.
    """
    low, high = interval(draws[1:])
    table = pd.DataFrame({"value": draws[0], "low": low, "high": high}, index=list(names))
    return estimates_of(table.assign(n=n), units)


def estimates_to_json(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    """What JSON can hold, by the same names."""
    return {name: estimate.to_json() for name, estimate in estimates.items()}


def estimates_from_json(estimates: Mapping[str, Mapping[str, Any]]) -> dict[str, Estimate]:
    """The inverse of `estimates_to_json`."""
    return {name: Estimate.from_json(estimate) for name, estimate in estimates.items()}


def prompt_means(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean over the samples of each prompt: one row a `prompt_id` (sorted), one column a metric."""
    return metrics.drop(columns="response_id", errors="ignore").groupby("prompt_id").mean().sort_index()


def bootstrap_mean(values: pd.DataFrame, *, seed: int, resamples: int = 5000) -> pd.DataFrame:
    """Mean over the rows of `values` and its 95% percentile interval (Efron & Tibshirani 1993, chapter 13).

    Args:
        values: [groups x metrics]. All metrics share the same resampled groups.
        seed: Same seed and number of groups, same resamples.
        resamples: Number of bootstrap resamples.

    Returns:
        [metrics x (value, low, high, n)], missing where a metric has no value at all; `n` counts groups with a value.
    """
    matrix = values.to_numpy(dtype="float64")
    present = ~np.isnan(matrix)
    filled = np.where(present, matrix, 0.0)
    # A resample that misses every group with a value has no mean; quantiles leave it out.
    means = [divide(weights @ filled, weights @ present) for weights in resampled_weights(len(matrix), resamples, seed)]
    bounds = interval(np.concatenate(means)) if means else np.full((2, matrix.shape[1]), np.nan)
    result = pd.DataFrame({"value": divide(filled.sum(axis=0), present.sum(axis=0))}, index=values.columns)
    return result.assign(low=bounds[0], high=bounds[1], n=present.sum(axis=0))


def resampled_weights(groups: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group is drawn: blocks of [some resamples x groups], none where there is no group."""
    generator = np.random.default_rng(seed)
    for block in blocks(resamples, groups):
        size = block.stop - block.start
        yield generator.multinomial(groups, np.full(groups, 1 / groups), size=size).astype("float64")


def interval(estimates: np.ndarray) -> np.ndarray:
    """[resamples x metrics] to [(low, high) x metrics]; NaN is left out, and the answer where nothing else is."""
    tail = (1 - CONFIDENCE) / 2
    bounds = np.full((2, estimates.shape[1]), np.nan)
    known = ~np.isnan(estimates).all(axis=0)
    bounds[:, known] = np.nanquantile(estimates[:, known], [tail, 1 - tail], axis=0)
    return bounds


def blocks(resamples: int, groups: int) -> Iterator[slice]:
    """Slices of the resamples, each small enough to hold; none where there is no group."""
    if groups:
        step = max(1, _BLOCK_CELLS // groups)
        for start in range(0, resamples, step):
            yield slice(start, min(start + step, resamples))


def divide(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """`total / count`, NaN where `count` is 0."""
    quotient = np.full(np.shape(total), np.nan)
    np.divide(total, count, out=quotient, where=count > 0)
    return quotient


def _plain(key: str, value: Any) -> Any:
    if pd.isna(value):
        return None
    return int(value) if key == "n" else float(value)
