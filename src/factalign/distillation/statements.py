"""What a passage states, the claims that say so, and the same with something changed or left out."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from factalign.base.text import with_topic
from factalign.distillation.perturbing import Perturber
from factalign.distillation.rewording import reword
from factalign.extraction import ClaimExtractor

_LABELLED = (
    "{topic}: {label} {value}",
    "The {label} of {topic} is {value}",
    "{topic} has {label} of {value}",
    "{topic}'s {label} is {value}",
    "{topic} {label}: {value}",
    "{topic}: {value}",
)


@dataclass(frozen=True)
class Statement:
    """Something that a passage says, between what stands around it.

    Args:
        topic: What the passage is about; claims of one topic stay in one split.
        title: The name to say in claims, "" if none is known.
        parts: One or two sentences, or a value.
        before, after: The rest of the evidence.
        label: What the value is a value of, "" for sentences.
        template: With `{name}`, for a fact that names `name` in its one part.
        name: See `template`.
    """

    topic: str
    title: str
    parts: tuple[str, ...]
    before: str = ""
    after: str = ""
    label: str = ""
    template: str = ""
    name: str = ""

    def evidence(self) -> str:
        """The passage, or a window of it."""
        return " ".join(filter(None, (self.before, *self.parts, self.after)))

    def claim(self, seed: float, extractor: ClaimExtractor) -> str:
        """A claim that the statement supports, often one of the claims of its sentence that `extractor` finds; the same
        choices for the same `seed`.
        """
        rng = random.Random(seed)
        if self.template:
            return with_topic(self.template.format(name=self.name), self.title)
        if self.label:
            value = reword(self.parts[0], rng)
            items = [item.strip() for item in re.split(r"[,;] ", value) if item.strip()]
            if len(items) > 2 and rng.random() < 0.7:
                value = rng.choice(items)
            value = value.rstrip(".")
            text = rng.choice(_LABELLED).format(topic=self.title, label=self.label, value=value)
            return with_topic(text, self.title)
        texts = []
        for part in self.parts:
            clauses = extractor.extract([part], [self.title])[0] if rng.random() < 0.6 else [part]
            texts.append(reword(rng.choice(clauses), rng, self.title))
        return " and ".join([text.rstrip(".") for text in texts[:-1]] + texts[-1:])

    def changed(self, perturber: Perturber, others: Sequence[str], rng: random.Random) -> tuple[str, Statement] | None:
        """The same statement with one thing changed, and the kind of change; None where nothing can be.

        Args:
            perturber: Changes sentences and values.
            others: Names that could stand in the place of a fact's `name`, and are wrong there.
            rng: Decides what changes.
        """
        if self.template:
            if not others:
                return None
            other = rng.choice(others)
            parts = tuple(part.replace(self.name, other) for part in self.parts)
            return "entity", replace(self, parts=parts, name=other)
        position = rng.randrange(len(self.parts))
        found = perturber.perturb(self.parts[position], rng)
        if found is None:
            return None
        parts = (*self.parts[:position], found[1], *self.parts[position + 1 :])
        return found[0], replace(self, parts=parts)

    def without(self, rng: random.Random) -> Statement | None:
        """The statement with one of its parts taken out of the evidence; None where nothing would be left."""
        position = rng.randrange(len(self.parts))
        rest = (*self.parts[:position], *self.parts[position + 1 :])
        less = replace(self, parts=rest)
        return less if len(less.evidence().split()) >= 5 else None
