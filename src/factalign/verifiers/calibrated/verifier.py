"""The verifier `calibrated`: the most probable label of a claim."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from factalign.base.ids import content_hash
from factalign.retrieval import RETRIEVERS
from factalign.verifiers import Pair, Passage, Verdict
from factalign.verifiers.calibrated.features import FEATURES, ClaimReader, feature_row
from factalign.verifiers.calibrated.regression import Regression
from factalign.verifiers.calibrated.specificity import OtherTopics, TopicNames
from factalign.verifiers.lexical.verifier import LexicalVerifier

ANSWERS = {"true": "supported", "false": "not_supported", "nothing": "irrelevant"}


class CalibratedVerifier:
    """Answers with the most probable of true (telling or trivial), false and nothing, and its probability.

    A claim is about the title of its best evidence; without evidence, about nothing that has a name.

    Args:
        path: The JSON that `kedro run --pipelines=calibration` wrote (`calibration.model`).
        passages: The passages table of that run (`passages`, Parquet): other topics are looked up in it.

    Raises:
        ValueError: No such files, the JSON is of another version, or the passages lack its topics.
    """

    def __init__(self, path: str, passages: str) -> None:
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            table = pd.read_parquet(passages)
            self._model = Regression.from_json(content["claims"])
            topics, k, retriever = (content[key] for key in ("other_topics", "passages_per_claim", "retriever"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"calibrated: cannot read {path} and {passages}: {error!r}") from error
        self._check(content, table, path)
        names = TopicNames(table)
        others = table[table["title"].isin(topics)].reset_index(drop=True)
        finder = RETRIEVERS.build(retriever)
        self._folder = tempfile.TemporaryDirectory(prefix="factalign-index-")
        finder.build(others, self._folder.name)
        self._reader = ClaimReader(OtherTopics(topics, others, names, finder, k))
        self._id = f"calibrated-{content_hash(content, others['passage_id'].tolist())[:16]}"

    @property
    def verifier_id(self) -> str:
        """See `Verifier.verifier_id`: a hash of the model and of what it asks of other topics."""
        return self._id

    def verify(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """See `Verifier.verify`."""
        if not pairs:
            return []
        read = [self._reader.read(claim, evidence, _topic(evidence)) for claim, evidence in pairs]
        probabilities = self._model.of_rows(np.array([feature_row(features) for features, _ in read]))
        return [
            self._answer(dict(zip(self._model.classes, row, strict=True)), lexical)
            for row, (_, lexical) in zip(probabilities.tolist(), read, strict=True)
        ]

    def _answer(self, chances: dict[str, float], lexical: Verdict) -> Verdict:
        """The deciding evidence is the lexical verifier's, where both say the same."""
        chances["true"] = chances.pop("telling") + chances.pop("trivial")
        label, chance = max(chances.items(), key=lambda each: each[1])
        index = lexical.evidence_index if lexical.label == ANSWERS[label] else None
        return Verdict(ANSWERS[label], min(1.0, round(chance, 4)), index)

    def _check(self, content: dict[str, object], table: pd.DataFrame, path: str) -> None:
        current = LexicalVerifier().verifier_id
        if content.get("lexical") != current or self._model.features != FEATURES:
            raise ValueError(
                f"calibrated: {path} was fitted with {content.get('lexical')!r}, {len(self._model.features)} features; "
                f"this version has {current!r} and {len(FEATURES)}: run the pipeline calibration again"
            )
        if missing := sorted(set(content["other_topics"]) - set(table["title"])):  # type: ignore[call-overload]
            raise ValueError(f"calibrated: the passages lack {len(missing)} topics of {path}, such as {missing[0]!r}")


def _topic(evidence: Sequence[str | Passage]) -> str:
    return next((item.title for item in evidence if isinstance(item, Passage) and item.title), "")
