"""Where sentences end: exactly, with Punkt, for whole texts; and by marks alone, where a heuristic is enough."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from factalign.base.text.markdown import LIST_MARKER

END_MARKS = ".!?"
UNSPACED_END_MARKS = "。！？｡।۔؟"  # of scripts that put no space after a sentence, and others that Punkt does not know
CLOSERS = "'\"”’»)\\]」』"  # what may stand between the mark and the space, for a character class
# White space between two sentences of ordinary prose.
GAP = re.compile(rf"(?<=[{END_MARKS}])\s+(?=[A-Z\d\"'])")
_CLOSED = re.compile(rf"[{END_MARKS}][{CLOSERS}]*$")
# An end mark, closing quotes or brackets, then white space or the end of the text. A full stop does not count after a
# lone letter ("J. Smith"), a digit ("3." opens a list item) or a dotted abbreviation ("U.S.", "e.g.").
_END = re.compile(
    rf"""(?: [!?…{UNSPACED_END_MARKS}]
          | (?<!\d) (?<!\b[^\W\d_]) (?<!\.[^\W\d_]) \.
        ) [{CLOSERS}]* (?= \s | \Z )
      | [{UNSPACED_END_MARKS}]""",
    re.VERBOSE,
)
# Abbreviations that Punkt would learn from a corpus; lower case, without the last period.
_ABBREVIATIONS = """
a.d a.m adm approx apr art aug ave b.c b.c.e bros c.e ca capt cf ch co col corp dec dept dist div dr e.g
ed eds est et.al etc ex feb fig ft gen gov hon hr i.e inc jan jr jul jun kg km lt ltd maj mar max messrs
min mr mrs ms mt no nos nov oct op p.m ph.d pop pp prof rep rev sec sen sep sept sgt sq sr st u.k u.n u.s
u.s.a viz vol vs
"""

_UNSPACED_END = re.compile(rf"[{UNSPACED_END_MARKS}]+[”’」』)\]]*")
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


def ends_sentence(text: str) -> bool:
    """Whether `text` ends with an end mark and perhaps closing quotes or brackets."""
    return _CLOSED.search(text) is not None


def last_sentence_end(text: str) -> int:
    """Where the last finished sentence of `text` ends, its whole length where none does.

    By marks alone: where it is unsure whether a full stop ends a sentence it answers with an earlier end.
    """
    return max((match.end() for match in _END.finditer(text)), default=len(text))


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Spans of list items, headings and paragraphs, without their markers."""
    current: tuple[int, int] | None = None
    for line in _LINE.finditer(text):
        marker = LIST_MARKER.match(text, line.start(), line.end())
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
