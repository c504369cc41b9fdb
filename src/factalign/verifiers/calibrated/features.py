"""What is measured of a claim: each feature has a meaning, none is a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from factalign.base.text import PLAIN_WORD
from factalign.verifiers import Passage, Verdict
from factalign.verifiers.calibrated.specificity import TOPIC, OtherTopics
from factalign.verifiers.lexical.verifier import LexicalVerifier


@dataclass(frozen=True)
class ClaimFeatures:
    """A claim in numbers; truths are 0 or 1, counts are log(1 + n).

    Attributes:
        supported, irrelevant, not_found: The lexical verifier's verdict; not found is what it does not support without
            typed facts against it.
        supported_by_facts, contradicted_by_facts, asks_facts: Of any clause, as in `ClauseAccount`.
        borne_out: Supported by typed facts, and nothing is missing.
        coverage: Of the telling words, 0 without such; see `ClaimAccount.coverage`.
        missing_names, missing_numbers, missing_words: In no passage of the evidence; missing_share is theirs of all.
        found_names, found_numbers, found_words: In some passage.
        negated: It denies something.
        specificity: Bits; see `Elsewhere`.
        telling_support: Specificity if it is supported, else 0.
        supported_elsewhere, contradicted_elsewhere, irrelevant_elsewhere: Shares of the other topics.
        decided_support: Supported, times the share of topics of which typed facts would contradict it.
        own_contradiction: Contradicted by typed facts, times the share of topics of which they would not.
        names: Capitalised words but the first and the topic's.
        numbers: Words with a digit.
        length: Words.
    """

    supported: float
    irrelevant: float
    not_found: float
    supported_by_facts: float
    contradicted_by_facts: float
    asks_facts: float
    borne_out: float
    coverage: float
    missing_names: float
    missing_numbers: float
    missing_words: float
    missing_share: float
    found_names: float
    found_numbers: float
    found_words: float
    negated: float
    specificity: float
    telling_support: float
    decided_support: float
    own_contradiction: float
    supported_elsewhere: float
    contradicted_elsewhere: float
    irrelevant_elsewhere: float
    names: float
    numbers: float
    length: float


FEATURES = tuple(field.name for field in fields(ClaimFeatures))


class ClaimReader:
    """Reads claims against their evidence, and against other topics."""

    def __init__(self, others: OtherTopics) -> None:
        self.others = others
        self.lexical = LexicalVerifier()

    def read(self, claim: str, evidence: Sequence[str | Passage], topic: str) -> tuple[ClaimFeatures, Verdict]:
        """The features of a claim about `topic`, and the lexical verdict that they include."""
        account = self.lexical.account(claim, evidence)
        elsewhere = self.others.ask(claim, topic)
        names, numbers, length = text_counts(self.others.names.mask(claim, topic))
        missing = {name: account.total(f"missing_{name}") for name in ("names", "numbers", "words")}
        found = {name: account.total(name) - missing[name] for name in missing}
        supported = account.verdict.label == "supported"
        contradicted = account.total("contradicted_by_facts") > 0
        by_facts = account.total("supported_by_facts") > 0
        features = ClaimFeatures(
            supported=float(supported),
            irrelevant=float(account.verdict.label == "irrelevant"),
            not_found=float(account.verdict.label == "not_supported" and not contradicted),
            supported_by_facts=float(by_facts),
            contradicted_by_facts=float(contradicted),
            asks_facts=float(account.total("asks_facts") > 0),
            borne_out=float(by_facts and not any(missing.values())),
            coverage=account.coverage or 0.0,
            **{f"missing_{name}": math.log1p(count) for name, count in missing.items()},
            missing_share=sum(missing.values()) / max(sum(missing.values()) + sum(found.values()), 1),
            **{f"found_{name}": math.log1p(count) for name, count in found.items()},
            negated=float(account.total("negated") > 0),
            specificity=elsewhere.specificity,
            telling_support=elsewhere.specificity if supported else 0.0,
            decided_support=elsewhere.contradicted * supported,
            own_contradiction=(1 - elsewhere.contradicted) * contradicted,
            supported_elsewhere=elsewhere.supported,
            contradicted_elsewhere=elsewhere.contradicted,
            irrelevant_elsewhere=elsewhere.irrelevant,
            names=names,
            numbers=numbers,
            length=length,
        )
        return features, account.verdict


def text_counts(masked: str) -> tuple[float, float, float]:
    """log(1 + n) of the names, the numbers and the words of a text whose topic is masked."""
    words = PLAIN_WORD.findall(masked.replace(TOPIC, " "))
    names = sum(word[0].isupper() for word in words[1:])
    numbers = sum(any(char.isdigit() for char in word) for word in words)
    return tuple(math.log1p(count) for count in (names, numbers, len(words)))  # type: ignore[return-value]


def feature_row(features: ClaimFeatures) -> np.ndarray:
    """The features in the order of `FEATURES`."""
    return np.array([getattr(features, name) for name in FEATURES])
