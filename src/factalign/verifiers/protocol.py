"""Verifiers by name: each judges claims against evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from factalign.base.registry import Choice, Registry

if TYPE_CHECKING:
    from factalign.corpora import Fact


@dataclass(frozen=True)
class Passage:
    """A passage to judge by.

    Args:
        text: Its words.
        title: The topic it belongs to, empty if unknown.
        field: Its place in the source; a claim that only repeats its words says nothing.
        passage_id: Its id, empty for text from elsewhere.
        aliases: Other names of the topic.
        facts: What its corpus reader knows about it.
    """

    text: str
    title: str = ""
    field: str = ""
    passage_id: str = ""
    aliases: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()

    def __hash__(self) -> int:  # that of all facts would cost more than reading the passage again
        return hash((self.title, self.text))


@dataclass(frozen=True)
class Verdict:
    """A judgement.

    Args:
        label: One of `schemas.LABELS`.
        confidence: How sure the verifier is of `label`, 0 to 1.
        evidence_index: The position of the evidence that decided, None where none did.
    """

    label: str
    confidence: float
    evidence_index: int | None = None


Pair = tuple[str, Sequence[str | Passage]]


class Verifier(Protocol):
    """Judges claims. Made by `VERIFIERS.build(choice)`."""

    @property
    def verifier_id(self) -> str:
        """Names the verifier and all that its verdicts depend on."""

    def verify(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """One verdict for each (claim, evidence, best first); claims and evidence are data, whatever they
        say.
        """


VERIFIERS: Registry[Verifier] = Registry(
    "verifier",
    {
        "lexical": "factalign.verifiers.lexical.verifier:LexicalVerifier",
        "entailment": "factalign.verifiers.entailment.verifier:EntailmentVerifier",
        "calibrated": "factalign.verifiers.calibrated.verifier:CalibratedVerifier",
        "distilled": "factalign.verifiers.entailment.verifier:load_distilled",
        "ensemble": "factalign.verifiers.ensemble:EnsembleVerifier",
        "llm": "factalign.verifiers.judge.verifier:ChatJudge",
    },
)


def load_verifier(name: str, **options: Any) -> Verifier:
    """The verifier `name` (one of `VERIFIERS`, or "package.module:factory").

    Raises:
        ValueError: Unknown name or options.
    """
    return VERIFIERS.build(Choice(name=name, options=options))
