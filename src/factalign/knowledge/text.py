"""Words as retrievers and verifiers compare them: accents folded, lower case, endings stripped."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[%$€£]")
_COMPASS = re.compile(r"(?:north|south)?-?(?:east|west)ern|(?:north|south)ern")
_ENDINGS = (
    "ational",
    "ations",
    "ation",
    "ingly",
    "ings",
    "ions",
    "ally",
    "ing",
    "ion",
    "ments",
    "ment",
    "ely",
    "als",
)
_SHORT_ENDINGS = ("ed", "al", "ly", "es", "s", "e")


def fold(text: str) -> str:
    """Lower case without accents; typographic apostrophes become plain ones."""
    decomposed = unicodedata.normalize("NFKD", text.replace("’", "'"))
    return "".join(char for char in decomposed if not unicodedata.combining(char)).lower()


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """`word` folded, without possessive and inflectional ending ("Bordered" and "borders" give "border")."""
    word = fold(word).removesuffix("'s").removesuffix("'")
    if _COMPASS.fullmatch(word):  # "Southern Africa" is not "South Africa"
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    if word.endswith(("ies", "ied")) and len(word) > 4:
        return word[:-2]
    if word.endswith("y") and len(word) > 3:  # apart from "german" and "hungar-ian", with "countries"
        return word[:-1] + "i"
    for ending in _SHORT_ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith(("ss", "us", "is")):
            return word[: -len(ending)]
    return word


def stems(text: str) -> list[str]:
    """Stems of all words and numbers of `text`, in order; "south-east" is one word. Linear in the text's
    length.
    """
    result: list[str] = []
    end = -2
    for match in WORD.finditer(unicodedata.normalize("NFC", text)):
        word = stem(match.group())
        if (
            word in ("east", "west", "eastern", "western")
            and match.start() == end + 1
            and result
            and result[-1] in ("north", "south")
        ):
            result[-1] += word
        else:
            result.append(word)
        end = match.end()
    return result
