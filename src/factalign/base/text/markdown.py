"""Markdown as models write it: the marks of lists, headings and emphasis. Patterns, not a parser."""

from __future__ import annotations

import re

# What may open a line before its text: bullets, quotes, hashes, numbers, letters, also several of them.
LIST_MARKER = re.compile(r"[ \t]*(?:[-*+•‣▪●–—>]+[ \t]+|#{1,6}[ \t]+|\(?\d{1,3}[.)][ \t]+|\(?[a-zA-Z][)][ \t]+)*")
# A heading of a document: its hashes, and its text without those that close it.
HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
FENCE = re.compile(r"\s*(```|~~~)")
_EMPHASIS = re.compile(r"[*`]")
_MARKUP = re.compile(r"[*_`#]{1,3}|\[\d+\]")


def without_emphasis(text: str) -> str:
    """`text` without asterisks and backticks."""
    return _EMPHASIS.sub("", text)


def without_markup(text: str) -> str:
    """`text` without marks of emphasis, code and headings, and without footnote marks such as "[3]"."""
    return _MARKUP.sub("", text)
