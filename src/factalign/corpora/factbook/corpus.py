"""The CIA World Factbook as passages with typed facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from factalign.base.ids import content_id
from factalign.corpora.factbook import people, place, state
from factalign.corpora.factbook.place import Atlas
from factalign.corpora.factbook.profile import Derived, Profile
from factalign.corpora.factbook.reader import read_profiles
from factalign.corpora.factbook.wording import AIDS, PROMPTS
from factalign.corpora.facts import facts_to_json
from factalign.corpora.protocol import PromptTemplates, ReadingAids
from factalign.corpora.splitting import split_text

# What the entries imply, as passages with typed facts.
_DERIVATIONS: tuple[Callable[[Profile, Atlas], Iterator[Derived]], ...] = (
    state.names,
    place.regions,
    place.neighbours,
    place.area,
    state.kind,
    state.heads,
    state.capital,
    state.memberships,
    state.currency,
    people.population,
    people.religions,
    people.ethnic_groups,
    people.languages,
)


@dataclass(frozen=True)
class FactbookCorpus:
    """Passages "{country}. {section} – {field}: text" and derived ones ("… – Neighbours: …"), with typed
    facts.

    Args:
        data_dir: Folder of `<region>/<code>.json` files; the installed data package if None.
        max_words: Longer fields are split at sentence or semicolon boundaries.
    """

    prompts: ClassVar[PromptTemplates] = PROMPTS
    aids: ClassVar[ReadingAids] = AIDS

    data_dir: str | None = None
    max_words: int = 100

    def passages(self) -> pd.DataFrame:
        """See `Corpus.passages`.

        Raises:
            ValueError: The package is missing, or a file is not the JSON of a profile (the message names it).
        """
        profiles = read_profiles(self.data_dir)
        atlas = Atlas(profiles)
        rows: dict[str, dict[str, str]] = {}
        for profile in profiles:
            aliases = json.dumps([*profile.names, *profile.demonyms], ensure_ascii=False)
            seen: set[tuple[str, str]] = set()
            for field, text, facts in [*_derived(profile, atlas), *_own(profile)]:
                key = (field.split(" – ", 1)[-1], text)
                if key in seen:  # the Factbook repeats some fields under a second section
                    continue
                seen.add(key)
                for part in split_text(text, self.max_words):
                    passage_id = content_id("passage", profile.title, field, part)
                    rows[passage_id] = {
                        "passage_id": passage_id,
                        "title": profile.title,
                        "field": field,
                        "text": f"{profile.title}. {field}: {part}",
                        "aliases": aliases,
                        "facts": facts_to_json(facts),
                    }
        return pd.DataFrame(list(rows.values()))


def _derived(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    for derivation in _DERIVATIONS:
        yield from derivation(profile, atlas)


def _own(profile: Profile) -> Iterator[Derived]:
    for (section, field, sub), text in profile.fields.items():
        yield f"{section} – {field}{': ' if sub else ''}{sub}", text, ()
