"""Words and stems: for counting, comparing, telling repetitions, and finding what a passage says.

`words` folds case and drops punctuation, in any script; `stems` also strips what differs between "Bordered" and
"borders".
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# A run of letters and digits; punctuation, also inside a number, ends it.
PLAIN_WORD = re.compile(r"[^\W_]+")
# A number with its separators, a word with its apostrophes, or a sign that says what a number counts.
WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[%$€£]")

# Scripts written without spaces: Thai, Lao, Myanmar, Khmer, kana, Han. Each letter counts as a word there.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)
_DIGIT_GROUPING = re.compile(r"(?<=\d)[.,](?=\d)")
_APOSTROPHES = "'\u2019\u02bc"
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
_SIDES = frozenset(("east", "west", "eastern", "western"))


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


def without_accents(text: str) -> str:
    """`text` in compatibility decomposition, without combining marks."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def fold(text: str) -> str:
    """Lower case without accents; typographic apostrophes become plain ones."""
    return without_accents(text.replace("’", "'")).lower()


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


def joins_compass(previous: str, word: str) -> bool:
    """Whether the stems `previous` and `word`, with one character between them, are one direction ("south-east")."""
    return word in _SIDES and previous in ("north", "south")


def stems(text: str) -> list[str]:
    """Stems of all words and numbers of `text`, in order; "south-east" is one word. Linear in the text's length."""
    result: list[str] = []
    end = 0
    for match in WORD.finditer(unicodedata.normalize("NFC", text)):
        word = stem(match.group())
        if result and match.start() == end + 1 and joins_compass(result[-1], word):
            result[-1] += word
        else:
            result.append(word)
        end = match.end()
    return result


def plain_stems(text: str) -> frozenset[str]:
    """The stems that occur in `text`, where punctuation also ends a word inside numbers and contractions."""
    return frozenset(stem(word) for word in PLAIN_WORD.findall(text))


def with_topic(text: str, topic: str) -> str:
    """`text`, as "topic: text" unless it names the topic."""
    bare = re.sub(r"^the ", "", topic, flags=re.IGNORECASE)
    return text if not topic or bare.lower() in text.lower() else f"{topic}: {text}"
