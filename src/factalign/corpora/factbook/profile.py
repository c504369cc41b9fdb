"""One entry of the World Factbook."""

from __future__ import annotations

import re
from dataclasses import dataclass

from factalign.corpora.factbook.geography import Point
from factalign.corpora.facts import Fact

# A passage that an entry implies: field, text, typed facts.
Derived = tuple[str, str, tuple[Fact, ...]]

# The world and the European Union have entries like countries.
NOT_COUNTRIES = ("xx", "ee")

_NUMBER = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?)(?:\s+(thousand|million|billion|trillion)\b)?")
_MAGNITUDES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}


@dataclass(frozen=True)
class Profile:
    """An entry: `fields` maps (section, field, subfield or "") to clean text.

    Args:
        code: The Factbook's two-letter code.
        region: The folder that the entry lies in.
        title: The name that passages and prompts use.
        names: All names, `title` first.
        demonyms: What its people and things are called ("Ghanaian").
        point: Latitude and longitude of its middle.
        fields: The text of the fields.
    """

    code: str
    region: str
    title: str
    names: tuple[str, ...]
    demonyms: tuple[str, ...]
    point: Point | None
    fields: dict[tuple[str, str, str], str]

    def get(self, section: str, field: str, subfield: str = "") -> str:
        """The text of a field, empty if the entry lacks it."""
        return self.fields.get((section, field, subfield), "")

    def number(self, section: str, field: str, subfield: str = "") -> float | None:
        """The first number in the text of a field ("2.5 million" counts in full), None if there is none."""
        match = _NUMBER.search(self.get(section, field, subfield))
        return float(match[1].replace(",", "")) * _MAGNITUDES.get(match[2], 1) if match else None

    @property
    def is_sovereign(self) -> bool:
        """A country of its own: it has people and a capital, and belongs to no other state."""
        return bool(
            self.code not in NOT_COUNTRIES
            and (self.number("People and Society", "Population", "total") or 0) > 500
            and self.get("Government", "Capital", "name")
            and not self.get("Government", "Dependency status")
            and not self.get("Government", "Independence").startswith("none")
        )
