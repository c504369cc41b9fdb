"""Sentences of a response, with the character offsets at which they stand in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pandas as pd

from factalign.ids import content_id
from factalign.schemas import Sentences, empty

# Abbreviations that Punkt would learn from a corpus; lower case, without the last period.
_ABBREVIATIONS = """
a.d a.m adm approx apr art aug ave b.c b.c.e bros c.e ca capt cf ch co col corp dec dept dist div dr e.g
ed eds est et.al etc ex feb fig ft gen gov hon hr i.e inc jan jr jul jun kg km lt ltd maj mar max messrs
min mr mrs ms mt no nos nov oct op p.m ph.d pop pp prof rep rev sec sen sep sept sgt sq sr st u.k u.n u.s
u.s.a viz vol vs
"""

_LIST_MARKER = re.compile(r"[ \t]*(?:[-*+•‣▪●–—>]+[ \t]+|#{1,6}[ \t]+|\(?\d{1,3}[.)][ \t]+|\(?[a-zA-Z][)][ \t]+)*")
_UNSPACED_END = re.compile(r"[。！？｡।۔؟]+[”’」』)\]]*")
_LINE = re.compile(r"[^\r\n\u2028\u2029\x0b\x0c\x85]+")


def split_sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence: `text[start:end]` is the sentence, without space around it.

    A list item or heading is a sentence (its marker stays outside); a line that goes on in lower case
    continues the sentence before. Pieces without a letter or digit ("---", emoji) are no sentences. Works
    on any text, in linear time.
    """
    spans = []
    for block_start, block_end in _blocks(text):
        block = text[block_start:block_end]
        for start, end in _tokenizer().span_tokenize(block):
            for piece_start, piece_end in _split_unspaced(block, start, end):
                piece = block[piece_start:piece_end]
                stripped = piece.strip()
                if any(char.isalnum() for char in stripped):
                    offset = block_start + piece_start + len(piece) - len(piece.lstrip())
                    spans.append((offset, offset + len(stripped)))
    return spans


def split_responses(responses: pd.DataFrame) -> pd.DataFrame:
    """The `schemas.Sentences` of a `schemas.Responses` table; a response without text has none."""
    rows = []
    for response_id, text in zip(responses["response_id"], responses["text"], strict=True):
        for index, (start, end) in enumerate(split_sentences(text)):
            rows.append(
                {
                    "sentence_id": content_id("sentence", response_id, index, start, end),
                    "response_id": response_id,
                    "index": index,
                    "start": start,
                    "end": end,
                    "text": text[start:end],
                }
            )
    return pd.DataFrame(rows) if rows else empty(Sentences)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Spans of list items, headings and paragraphs, without their markers."""
    current: tuple[int, int] | None = None
    for line in _LINE.finditer(text):
        marker = _LIST_MARKER.match(text, line.start(), line.end())
        start = marker.end() if marker else line.start()
        body = text[start : line.end()]
        if not body.strip():
            continue
        gap = text[current[1] : line.start()] if current else ""
        after_heading = current is not None and text[: current[0]].rstrip(" \t").endswith("#")
        continues = start == line.start() and body[:1].islower() and gap.count("\n") == 1 and not after_heading
        if current and continues:
            current = (current[0], line.end())
            continue
        if current:
            yield current
        current = (start, line.end())
    if current:
        yield current


def _split_unspaced(block: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _UNSPACED_END.finditer(block, start, end):
        if match.end() < end:
            yield start, match.end()
            start = match.end()
    yield start, end


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types.update(_ABBREVIATIONS.split())
    return PunktSentenceTokenizer(parameters)
