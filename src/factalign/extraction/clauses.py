"""Claims by rule: a sentence is cut at coordination, relative clauses, participles and lists, and each
piece gets its subject back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from factalign.base.text import with_topic, without_markup
from factalign.corpora import GENERAL_AIDS, ReadingAids

_VERBS = (
    "is|are|was|were|has|have|had|includes?|included|covers?|lies|shares?|borders|produces?|exports?|imports?"
    "|consists?|comprises?|contains?|ranks|became|becomes|gained|joined|uses|speaks?|belongs|hosts?|features?"
    "|serves?|plays?|offers?|holds?|depends?|relies"
)
_VERB = re.compile(rf"\b(?:{_VERBS})\b", re.IGNORECASE)
_PARTICIPLES = (
    "bordered|bounded|located|situated|surrounded|nestled|known|ruled|governed|inhabited|divided|composed|led"
)
_POSSESSIVE = re.compile(r"^(?:its|their)\b", re.IGNORECASE)
_LIST = re.compile(
    r"^(?P<head>.*?\b(?:by|includes?|including|included|such\s+as|are|member\s+of|exports?|imports?|produces?|between)\s+"
    r"|[^,:]*:\s+)(?P<items>[^,:]+(?:,\s+[^,]+)*,?\s+and\s+[^,]+)$",
    re.IGNORECASE,
)
_LIST_GAP = re.compile(r"\s*,\s+(?:and\s+)?")
_ONLY_DIRECTION = re.compile(r"(?:to\s+)?(?:the\s+)?(?:north|south|east|west)(?:east|west)?", re.IGNORECASE)
_RELATIVE = re.compile(r"\b(?:which|who)\b", re.IGNORECASE)
MAX_ITEM_WORDS = 6
MAX_SUBJECT_WORDS = 8


def _breaks(aids: ReadingAids) -> re.Pattern[str]:
    """Where a sentence falls apart into clauses."""
    return re.compile(
        rf"""\s*;\s+
        | \s*,?\s+(?:and|but|while|whereas|although)\s+(?=(?:it|they|its|their|there|the\s+{_any_of(aids.restarts)})\s)
        | \s*,?\s+(?:and|but)\s+(?=(?:also\s+)?(?:{_VERBS})\s)
        | \s*,?\s+(?:and\s+)?(?:which|who)\s+(?=(?:\w+\s)?(?:{_VERBS})\b)
        | \s*,?\s+that\s+(?=(?:is|are|was|were|has|have)\s)
        | \s*,\s+(?:and\s+)?(?=(?:{_PARTICIPLES}|bordering|including|with|making|having|covering|sharing)\s)
        | (?<!\bis)(?<!\bare)(?<!\bwas)(?<!\bwere)(?<!\balso)(?<!\bnot)
          \s+(?:and\s+)?(?=(?:bordered|bounded|surrounded)\s+by\s)
        | \s*,\s+and\s+(?=the\s+(?:\w+\s+){{1,6}}(?:is|are|was|were|has|have)\s)
        | \s+(?=with\s+(?:an?|its|the)\s+(?:\w+\s+){{0,3}}{_any_of(aids.attributes)}\b)
        """,
        re.VERBOSE | re.IGNORECASE,
    )


def _pronoun(aids: ReadingAids) -> re.Pattern[str]:
    """What stands for the topic at the beginning of a clause."""
    return re.compile(rf"^(?:it|they|(?:the|this)\s+{_any_of(aids.nouns)})\b(?P<own>['’]s)?", re.IGNORECASE)


def _any_of(words: Iterable[str]) -> str:
    """One of `words`, as a regular expression; it matches nothing where there are none."""
    return f"(?:{'|'.join(map(re.escape, words)) or '(?!)'})"


class ClauseExtractor:
    """Claims by clause. "X is a landlocked country, bordered by A to the north and B to the south" gives
    three.

    Args:
        aids: How the corpus speaks of its topics.
    """

    def __init__(self, aids: ReadingAids = GENERAL_AIDS) -> None:
        self._breaks, self._pronoun = _breaks(aids), _pronoun(aids)

    def extract(self, sentences: Sequence[str], topics: Sequence[str]) -> list[list[str]]:
        """See `ClaimExtractor.extract`. Time is linear in the text."""
        return [self._claims(sentence, topic) for sentence, topic in zip(sentences, topics, strict=True)]

    def _claims(self, sentence: str, topic: str) -> list[str]:
        plain = " ".join(without_markup(sentence).split()).strip(" .;,")
        pieces = self._pieces(plain)
        claims: list[str] = []
        subject = verb = ""
        for number, piece in enumerate(pieces):
            if number == 0:
                subject, verb = self._subject_and_verb(piece, topic)
                if not verb and len(pieces) > 1 and len(piece.split()) <= MAX_SUBJECT_WORDS:
                    subject = piece  # "Mount Everest, which is …"
                    continue
                full = self._with_subject(piece, "", topic)
            elif piece.lower().startswith("including ") and verb:
                full = f"{subject} {verb} including {piece[10:]}"
            else:
                full = self._with_subject(piece, subject, topic)
            claims += [with_topic(re.sub(r"\bincluding ", "", claim, count=1), topic) for claim in _distribute(full)]
        return list(dict.fromkeys(claims)) or [with_topic(sentence.strip(), topic)]

    def _pieces(self, text: str) -> list[str]:
        """Clauses; a piece of fewer than two words stays with the one before."""
        pieces: list[str] = []
        start = 0
        for match in [*self._breaks.finditer(text), None]:
            piece = text[start : match.start() if match else len(text)].strip(" ,;")
            if match and len(piece.split()) < 2 and not (start == 0 and _RELATIVE.search(match.group())):
                continue
            if len(piece.split()) < 2 and pieces:
                pieces[-1] = f"{pieces[-1]} {piece}"
            elif piece:
                pieces.append(piece)
            start = match.end() if match else start
        return pieces

    def _subject_and_verb(self, clause: str, topic: str) -> tuple[str, str]:
        """What stands before the first verb (the topic for a pronoun), and that verb; both empty if there is
        none.
        """
        verb = _VERB.search(clause[:200])
        subject = clause[: verb.start()].strip(" ,") if verb else ""
        if not subject or self._pronoun.match(subject) or len(subject.split()) > MAX_SUBJECT_WORDS:
            subject = topic
        return subject, verb.group() if verb else ""

    def _with_subject(self, clause: str, subject: str, topic: str) -> str:
        if topic:
            pronoun = self._pronoun.match(clause)
            if pronoun:
                return f"{topic}{pronoun['own'] or ''}{clause[pronoun.end() :]}"
            if _POSSESSIVE.match(clause):
                return _POSSESSIVE.sub(f"{topic}'s", clause)
        if subject and re.match(rf"(?:also\s+)?(?:{_VERBS})\b", clause, re.IGNORECASE):
            return f"{subject} {clause}"
        if subject and re.match(rf"(?:{_PARTICIPLES})\b", clause, re.IGNORECASE):
            return f"{subject} is {clause}"
        if subject and re.match(r"with\s", clause, re.IGNORECASE):
            return f"{subject} has {clause[5:]}"
        return clause


def _distribute(clause: str) -> list[str]:
    """Three claims of "bordered by A to the west, B and C"; a clause without a list stays whole."""
    match = _LIST.match(clause) if len(clause) < 600 else None
    if not match or re.search(r"\bbetween\s+$", match["head"], re.IGNORECASE):
        return [clause]
    *items, last = _LIST_GAP.split(match["items"])
    items += last.split(" and ", 1) if " and " in last and not re.search(r",\s+and\s", match["items"]) else [last]
    items = [item.strip() for item in items if item.strip()]
    if len(items) < 2 or any(map(_is_no_item, items)):
        return [clause]
    return [f"{match['head']}{item}" for item in items]


def _is_no_item(text: str) -> bool:
    return len(text.split()) > MAX_ITEM_WORDS or bool(_VERB.search(text) or _ONLY_DIRECTION.fullmatch(text))
