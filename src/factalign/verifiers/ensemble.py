"""Several verifiers as one: in a cascade, cheap ones first, or by vote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from factalign.base.ids import content_hash
from factalign.base.registry import Choice
from factalign.chat.budget import Costly
from factalign.schemas import LABELS, Costs, empty
from factalign.verifiers import VERIFIERS, Pair, Verdict, Verifier

# What the cascade takes from a member without asking the next, by label: the lexical verifier's nothing-to-check
# stands, its "supported" and its contradictions by typed facts where they are sure.
UNSURE_BELOW: Mapping[str, float] = {"supported": 0.9, "not_supported": 0.95, "irrelevant": 0.0}


class EnsembleVerifier:
    """Asks its members in turn (`cascade`) or all of them (`vote`).

    cascade: A verdict stands if its confidence reaches `unsure_below`; other claims, and `failed` ones, go to
    the next member. The last member's verdict stands as it is, unless it failed and an earlier one did not.

    vote: Each label gets the mean confidence of the members that gave it, weighted by `weights`; a member's
    remaining confidence is spread over the other labels that any member gave. `failed` does not vote.

    Args:
        members: Each a name, `{"name": ..., "options": {...}}`, or a verifier that is built already.
        mode: See above.
        unsure_below: For the cascade, one number or one for each label (a missing label counts as 0).
        weights: For the vote, one for each member; equal by default.

    Raises:
        ValueError: No member, an unknown mode, label or name, or weights that do not fit.
    """

    def __init__(
        self,
        members: Sequence[str | Mapping[str, Any] | Choice | Verifier],
        mode: Literal["cascade", "vote"] = "cascade",
        unsure_below: float | Mapping[str, float] = UNSURE_BELOW,
        weights: Sequence[float] | None = None,
    ) -> None:
        if not members:
            raise ValueError(
                "ensemble: members must list at least one verifier, as a name or {name: ..., options: {...}}"
            )
        if mode not in ("cascade", "vote"):
            raise ValueError(f"ensemble: unknown mode {mode!r}; valid: cascade, vote")
        self.members = [VERIFIERS.resolve(member) for member in members]
        self.mode = mode
        bars = dict(unsure_below) if isinstance(unsure_below, Mapping) else dict.fromkeys(LABELS, unsure_below)
        unknown = bars.keys() - set(LABELS)
        if unknown or not all(0 <= bar <= 1 for bar in bars.values()):
            raise ValueError(
                f"ensemble: unsure_below must be from 0 to 1, or one such number for some of {', '.join(LABELS)}; "
                f"got {unsure_below!r}"
            )
        self.unsure_below = bars
        self.weights = list(weights) if weights is not None else [1.0] * len(self.members)
        if len(self.weights) != len(self.members) or not all(weight > 0 for weight in self.weights):
            raise ValueError(f"ensemble: weights must be {len(self.members)} numbers above 0, got {weights!r}")

    @property
    def verifier_id(self) -> str:
        """See `Verifier.verifier_id`: names all members, and a hash of the settings."""
        settings = self.weights if self.mode == "vote" else self.unsure_below
        digest = content_hash(settings)[:8]
        return f"{self.mode}-{digest}({' > '.join(member.verifier_id for member in self.members)})"

    def verify(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """See `Verifier.verify`. In a cascade each member gets all claims that are left, in one call."""
        return self._cascade(pairs) if self.mode == "cascade" else self._vote(pairs)

    def costs(self, num_responses: int, num_claims: int) -> pd.DataFrame:
        """The `schemas.Costs` of the members that ask a chat model, one after the other; no row if none does."""
        rows = [member.costs(num_responses, num_claims) for member in self.members if isinstance(member, Costly)]
        asked = [costs for costs in rows if not costs.empty]
        return pd.concat(asked, ignore_index=True) if asked else empty(Costs)

    def _cascade(self, pairs: Sequence[Pair]) -> list[Verdict]:
        verdicts = [_FAILED] * len(pairs)
        left = list(range(len(pairs)))
        for member in self.members:
            for position, verdict in zip(left, member.verify([pairs[p] for p in left]), strict=True):
                if verdict.label != "failed":
                    verdicts[position] = verdict
            left = [position for position in left if self._is_unsure(verdicts[position])]
            if not left:
                break
        return verdicts

    def _is_unsure(self, verdict: Verdict) -> bool:
        return verdict.label == "failed" or verdict.confidence < self.unsure_below.get(verdict.label, 0.0)

    def _vote(self, pairs: Sequence[Pair]) -> list[Verdict]:
        answers = zip(*(member.verify(pairs) for member in self.members), strict=True)
        return [self._count(verdicts) for verdicts in answers]

    def _count(self, verdicts: Sequence[Verdict]) -> Verdict:
        given = [(w, verdict) for w, verdict in zip(self.weights, verdicts, strict=True) if verdict.label != "failed"]
        labels = {verdict.label for _, verdict in given}
        if not labels:
            return _FAILED
        mass: dict[str, float] = defaultdict(float)
        for weight, verdict in given:
            mass[verdict.label] += weight * verdict.confidence
            for other in labels - {verdict.label}:
                mass[other] += weight * (1 - verdict.confidence) / (len(labels) - 1)
        label = max(sorted(labels), key=lambda name: mass[name])
        deciding = max((row for row in given if row[1].label == label), key=lambda row: row[0] * row[1].confidence)[1]
        total = sum(weight for weight, _ in given)
        return Verdict(label, min(1.0, round(mass[label] / total, 4)), deciding.evidence_index)


_FAILED = Verdict("failed", 0.0)
