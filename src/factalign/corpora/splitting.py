"""Long texts become passages."""

from __future__ import annotations

import re

from factalign.base.text.sentences import GAP

MAX_WORDS = 120
_BOUNDARIES = (re.compile(r"\n\s*\n"), GAP, *map(re.compile, (r"(?<=;)\s+", r"(?<=,)\s+", r"\s+")))


def split_text(text: str, max_words: int) -> list[str]:
    """Pieces of at most `max_words` words (what spaces separate), cut at the ends of paragraphs, else of sentences,
    else at semicolons, else commas, else anywhere.

    Raises:
        ValueError: `max_words` is below 1.
    """
    if max_words < 1:
        raise ValueError(f"max_words must be at least 1, got {max_words}")
    if len(text.split()) <= max_words:
        return [text]
    for boundary in _BOUNDARIES:
        units = boundary.split(text)
        if len(units) > 1:
            break
    pieces: list[str] = []
    current: list[str] = []
    length = 0
    for unit in units:
        words = len(unit.split())
        if current and length + words > max_words:
            pieces.append(" ".join(current))
            current, length = [], 0
        if words > max_words:
            pieces.extend(split_text(unit, max_words))
        else:
            current.append(unit)
            length += words
    return [*pieces, " ".join(current)] if current else pieces


def named_pieces(title: str, field: str, text: str, max_words: int) -> list[str]:
    """The pieces of `text` in `split_text`, each on one line and with title and field put before it, so that it says by
    itself what it is about.
    """
    name = f"{title}. {field}: " if field else f"{title}. "
    pieces = (" ".join(piece.split()) for piece in split_text(text, max_words))
    return [piece if not field and piece.startswith(title) else name + piece for piece in pieces if piece]
