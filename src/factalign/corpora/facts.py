"""Typed facts: what a corpus reader knows about a passage beyond its words, in terms that hold for any
corpus.

A reader states for each fact which words ask about it (`cues`) and which things hold (`items`, `quantity`);
a verifier compares a claim's words with them and needs no knowledge of the field. "Ghana borders Togo, to
the east" is `Fact("border", cues=("border", "bounded by"), items=(Item(("Togo",), bearing=90),),
complete=True)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Item:
    """One thing that holds.

    Args:
        names: All its names.
        bearing: Direction in which it lies, in degrees clockwise from north; None if unknown.
        spread: Largest angle from `bearing`, in degrees, at which a stated direction is still right: by
            default the adjacent compass point, and some slack.
        share: Share of the whole, in per cent.
        holds: False for a thing that is known not to hold.
    """

    names: tuple[str, ...]
    bearing: float | None = None
    spread: float = 55.0
    share: float | None = None
    holds: bool = True


@dataclass(frozen=True)
class Fact:
    """One relation of the passage's topic.

    Args:
        relation: Name of the relation.
        cues: Phrases that ask about it.
        items: The things that stand in this relation to the topic.
        complete: What is not listed does not hold: another name after a cue is wrong.
        needs_cue: Items only count in a clause that has a cue ("borders Togo", not "trades with Togo").
        quantity: A number that holds; in `unit`.
        unit: "" for a count, else "%", "m", "m2", "$" or "year".
        generic: The items are words for the topic's class ("country"): said of it they hold ("is a
            country"), but they often just stand for it ("the country's rivers").
    """

    relation: str
    cues: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    complete: bool = False
    needs_cue: bool = True
    quantity: float | None = None
    unit: str = ""
    generic: bool = False


def facts_to_json(facts: Iterable[Fact]) -> str:
    """The `facts` column of `schemas.Passages`: a JSON list."""
    return json.dumps([_without_defaults(fact) for fact in facts], ensure_ascii=False)


def facts_from_json(text: str) -> tuple[Fact, ...]:
    """Inverse of `facts_to_json`.

    Raises:
        ValueError: Not a JSON list of facts.
    """
    try:
        return tuple(
            Fact(
                **{
                    **row,
                    "cues": tuple(row.get("cues", ())),
                    "items": tuple(Item(**{**item, "names": tuple(item["names"])}) for item in row.get("items", ())),
                }
            )
            for row in json.loads(text or "[]")
        )
    except (TypeError, KeyError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"column 'facts' must hold a JSON list of facts, not {text[:80]!r}: {error}") from error


def _without_defaults(fact: Fact) -> dict[str, Any]:
    row = {key: value for key, value in asdict(fact).items() if value != Fact.__dataclass_fields__[key].default}
    if "items" in row:
        defaults = Item.__dataclass_fields__
        row["items"] = [
            {k: v for k, v in item.items() if k == "names" or v != defaults[k].default} for item in row["items"]
        ]
    return row
