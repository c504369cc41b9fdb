"""Words of untrusted text in any script, for counting, comparing and telling repetitions."""

from __future__ import annotations

import re
import unicodedata

# Scripts written without spaces: Thai, Lao, Myanmar, Khmer, kana, Han. Each letter counts as a word there.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)
_DIGIT_GROUPING = re.compile(r"(?<=\d)[.,](?=\d)")
_APOSTROPHES = "'\u2019\u02bc"


class _Separators(dict[int, str]):
    """A `str.translate` table that is filled as characters appear."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Cf" or character in _APOSTROPHES:  # joiners and apostrophes stand inside words
            value = ""
        elif category[0] in "PSZC":
            value = " "
        elif category == "Lo" and _UNSPACED.match(character):
            value = f" {character}"
        else:
            value = character
        self[code] = value
        return value


_SEPARATORS = _Separators()


def words(text: str) -> list[str]:
    """Case-folded words without punctuation, symbols and emoji; `"1,200"` is one word.

    Scripts that put no spaces between words count each letter. Time is linear in the length of `text`.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _DIGIT_GROUPING.sub("", folded).translate(_SEPARATORS).split()


def normalise(text: str) -> str:
    """`text` reduced to its words: two texts that differ in case, punctuation or spacing become equal."""
    return " ".join(words(text))
