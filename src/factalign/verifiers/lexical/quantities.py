"""Numbers with their units, read from text."""

from __future__ import annotations

import re
from dataclasses import dataclass

RELATIVE_TOLERANCE = 0.07
PERCENT_TOLERANCE = 1.5
_MAGNITUDES = {"thousand": 1e3, "million": 1e6, "mn": 1e6, "billion": 1e9, "bn": 1e9, "trillion": 1e12}
_UNITS = (
    (re.compile(r"%|per\s?cent"), "%", 1.0),
    (re.compile(r"sq.*k|km\s?[2²]"), "m2", 1e6),
    (re.compile(r"sq.*mi"), "m2", 2.589988e6),
    (re.compile(r"hectare"), "m2", 1e4),
    (re.compile(r"k"), "m", 1e3),
    (re.compile(r"mi"), "m", 1609.344),
    (re.compile(r"f"), "m", 0.3048),
    (re.compile(r"m"), "m", 1.0),
    (re.compile(r"dollar|usd"), "$", 1.0),
)
_QUANTITY = re.compile(
    r"(?P<currency>(?:US)?\$\s?)?(?<![\w.,])(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,15}(?:\.\d{1,9})?)(?![\d.,]*\d)"
    r"(?:\s?(?P<magnitude>thousand|million|billion|trillion|mn|bn)\b)?"
    r"(?:[\s-]?(?P<unit>%|per\s?cent\b|sq(?:uare)?\.?\s?(?:km|kilomet(?:er|re)s?|mi(?:les?)?)\b|km\s?[2²]|hectares?\b"
    r"|kilomet(?:er|re)s?\b|km\b|miles?\b|mi\b|met(?:er|re)s?\b|m\b|f(?:ee|oo)t\b|ft\b|(?:US\s)?dollars?\b|usd\b))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Quantity:
    """A number: `unit` is one of "", "%", "m", "m2", "$", "year"; `value` is in it; `exact` forbids a
    tolerance.
    """

    value: float
    unit: str
    exact: bool
    start: int
    end: int

    def close_to(self, other: Quantity) -> bool:
        """Whether `other` (what is known) bears out this quantity (what is claimed)."""
        if self.unit != other.unit:
            return False
        if self.exact:
            return self.value == other.value
        if self.unit == "%":
            return abs(self.value - other.value) <= min(PERCENT_TOLERANCE, 0.05 + 0.1 * abs(other.value))
        return abs(self.value - other.value) <= RELATIVE_TOLERANCE * abs(other.value)


def find_quantities(text: str) -> list[Quantity]:
    """All quantities of `text`, in order. Years and bare numbers below 100 are exact."""
    found = []
    for match in _QUANTITY.finditer(text):
        digits = match["number"]
        value = float(digits.replace(",", "")) * _MAGNITUDES.get((match["magnitude"] or "").lower(), 1.0)
        unit, factor = "$" if match["currency"] else "", 1.0
        for pattern, name, size in _UNITS if match["unit"] else ():
            if pattern.match(match["unit"].lower()):
                unit, factor = name, size
                break
        bare = not (match["magnitude"] or match["unit"] or match["currency"])
        if bare and len(digits) == 4 and digits.isdigit() and 1000 <= value <= 2100:
            unit = "year"
        exact = unit == "year" or (bare and value < 100)
        found.append(Quantity(value * factor, unit, exact, match.start(), match.end()))
    return found
