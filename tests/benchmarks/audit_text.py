"""Offline verifiers on free text that people labelled, against `lexical`.

`FACTALIGN_EXTERNAL_DATA=<folder> python -m tests.benchmarks.audit_text --output <folder>` makes synthetic claims of the
evidence texts of WiCE and Factcheck-GPT, trains `distilled` on them (unless the folder holds it already) and prints a
table. Labels and claims of the two sets are read when the verifier is finished.

Labels become two: WiCE's partially_supported is not supported. Factcheck's completely-support is supported, refute and
irrelevant are not; partially-support is left out, or not supported in the rows named "with partial". `irrelevant` of a
verifier counts as not supported. Intervals are of a bootstrap over articles (WiCE) and claims (Factcheck), the same
resamples for all verifiers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from factalign.bootstrap import interval, resampled_weights
from factalign.factuality import Verdict, load_verifier
from factalign.factuality.distillation import DistillationConfig, distil, passages_from_evidence
from factalign.factuality.verifiers.calibration import expected_calibration_error

WICE, FACTCHECK = "wice_claim_dev.jsonl", "factcheck_gpt_stance_dev.jsonl"
METRICS = ("balanced_accuracy", "auroc", "f1_supported")
RESAMPLES = 1000


@dataclass
class Labelled:
    """Claims with their evidence; those of one group are drawn together."""

    name: str
    pairs: list[tuple[str, list[str]]]
    supported: np.ndarray
    groups: np.ndarray


class Remembering:
    """A verifier that is asked once for each pair; `seconds` of processor time it took."""

    def __init__(self, verifier: Any) -> None:
        self.verifier, self.known, self.seconds = verifier, {}, 0.0
        self.verifier_id = verifier.verifier_id

    def verify(self, pairs: Sequence[tuple[str, list[str]]]) -> list[Verdict]:
        keys = [(claim, *evidence) for claim, evidence in pairs]
        new = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in self.known}
        started = time.process_time()
        self.known.update(zip(new, self.verifier.verify(list(new.values())), strict=True))
        self.seconds += time.process_time() - started
        return [self.known[key] for key in keys]


def evidence_texts(folder: Path) -> pd.DataFrame:
    """The passages to distil from: evidence alone."""
    texts = [row["evidence"] for name in (WICE, FACTCHECK) for row in _rows(folder / name)]
    return passages_from_evidence(texts)


def labelled_sets(folder: Path) -> list[Labelled]:
    """The human labels, in two classes."""
    wice, stances = _rows(folder / WICE), _rows(folder / FACTCHECK)
    whole = [row for row in stances if row["stance"] != "partially-support"]
    return [
        Labelled(
            "WiCE",
            [(row["claim"], ["\n".join(row["evidence"])]) for row in wice],
            np.array([row["label"] == "supported" for row in wice]),
            np.arange(len(wice)),
        ),
        _stances("Factcheck", whole),
        _stances("Factcheck, with partial", stances),
    ]


def score(verdicts: Sequence[Verdict]) -> np.ndarray:
    """P(supported) as a verdict tells it: its confidence, or what that leaves."""
    return np.array([v.confidence if v.label == "supported" else 1 - v.confidence for v in verdicts])


def metrics(found: np.ndarray, scores: np.ndarray, supported: np.ndarray, weights: np.ndarray) -> tuple[float, ...]:
    """Weighted balanced accuracy, area under the ROC curve (ties count half) and F1 of supported."""
    right, wrong = weights * supported, weights * ~supported
    hit, false = (right * found).sum(), (wrong * found).sum()
    balanced = (hit / right.sum() + 1 - false / wrong.sum()) / 2
    _, level = np.unique(scores, return_inverse=True)
    positive, negative = np.bincount(level, right), np.bincount(level, wrong)
    below = np.cumsum(negative) - negative
    auroc = (positive * (below + negative / 2)).sum() / (right.sum() * wrong.sum())
    return balanced, auroc, 2 * hit / (hit + false + right.sum())


def compare(labelled: Labelled, verifiers: dict[str, Any]) -> pd.DataFrame:
    """One row a verifier: metrics with intervals, and the paired difference from the first verifier."""
    draws = _draws(labelled.groups)
    rows, base = [], None
    for name, verifier in verifiers.items():
        verdicts = verifier.verify(labelled.pairs)
        found, scores = np.array([v.label == "supported" for v in verdicts]), score(verdicts)
        values = metrics(found, scores, labelled.supported, np.ones(len(found)))
        spread = np.array([metrics(found, scores, labelled.supported, weights) for weights in draws])
        base = spread if base is None else base
        confidence = [verdict.confidence for verdict in verdicts]
        row = {"set": labelled.name, "verifier": name}
        for column, (low, high), (less, more) in zip(
            range(len(METRICS)), interval(spread).T, interval(spread - base).T, strict=True
        ):
            row[METRICS[column]] = f"{values[column]:.3f} [{low:.3f}, {high:.3f}]"
            row[f"Δ {METRICS[column]}"] = f"[{less:+.3f}, {more:+.3f}]"
        row["ece"] = f"{expected_calibration_error(confidence, found == labelled.supported):.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the distilled verifier")
    parser.add_argument("--claims", type=int, default=DistillationConfig().claims, help="synthetic claims to train on")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic claims and the training")
    arguments = parser.parse_args()
    folder = Path(os.environ["FACTALIGN_EXTERNAL_DATA"]) / "verifier"
    if not (arguments.output / "config.json").is_file():
        distil(
            evidence_texts(folder), arguments.output, DistillationConfig(claims=arguments.claims, seed=arguments.seed)
        )
    distilled = Remembering(load_verifier("distilled", path=arguments.output))
    lexical = Remembering(load_verifier("lexical"))
    verifiers = {
        "lexical": lexical,
        "distilled": distilled,
        "ensemble": load_verifier("ensemble", members=[lexical, distilled]),
    }
    table = pd.concat([compare(labelled, verifiers) for labelled in labelled_sets(folder)])
    sys.stdout.write(table.to_string(index=False) + "\n")
    for name, verifier in (("lexical", lexical), ("distilled", distilled)):
        sys.stdout.write(f"{name}: {len(verifier.known) / verifier.seconds:.1f} claims per second of processor time\n")


def _stances(name: str, rows: list[dict[str, Any]]) -> Labelled:
    return Labelled(
        name,
        [(row["claim"], [row["evidence"]]) for row in rows],
        np.array([row["stance"] == "completely-support" for row in rows]),
        np.unique([row["claim"] for row in rows], return_inverse=True)[1],
    )


def _draws(groups: np.ndarray) -> list[np.ndarray]:
    blocks = resampled_weights(int(groups.max()) + 1, RESAMPLES, seed=0)
    return [weights[groups] for block in blocks for weights in block]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
