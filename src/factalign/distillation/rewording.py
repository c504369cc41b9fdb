"""The same said in other words, by rule: what a passage says, as somebody who read it might claim it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

Rule = Callable[[str, random.Random], str]

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
# Words that can stand for each other in most sentences; the first of a line need not be the commonest.
_SYNONYMS = """
movie|film; began|started; begin|start; founded|established|set up; located|situated; created|made; built|constructed
purchased|bought; obtained|got; big|large; nearly|almost; approximately|about|around|roughly; died|passed away
famous|well known; kind|type; named|called; near|close to; help|assist; helped|assisted; need|require; needs|requires
show|demonstrate; shows|demonstrates; use|utilize; used|utilized; job|position; kids|children; physician|doctor
firm|company; companies|businesses; teacher|instructor; author|writer; wrote|authored; released|published|issued
finished|completed; ended|concluded; got|received; gave|provided; gives|provides; picked|chosen
said|stated; says|states; told|informed; important|significant; main|primary; many|numerous; several|multiple
often|frequently; usually|typically; area|region; people|individuals; country|nation; city|town; contains|includes
contain|include; consists of|is made up of; comprises|is made up of; can|is able to; allows|enables; allow|enable
causes|leads to; cause|lead to; caused|led to; prevents|stops; reduces|lowers; improves|enhances; grew|expanded
moved|relocated; joined|became part of; left|departed from; lived|resided; lives|resides; worked|was employed
attended|went to; graduated from|got a degree from; married|wed; won|was the winner of; defeated|beat
appeared in|was featured in; starred in|acted in; recorded|made a recording of; performed|played; served|worked
appointed|named; elected|voted in; reported|announced; announced|made public; launched|introduced; opened|was opened
closed|shut down; destroyed|ruined; damaged|harmed; discovered|found; invented|devised; developed|created
designed|planned; killed|slain; injured|hurt; attacked|assaulted; arrested|detained; accused|charged
supported|backed; rejected|turned down; approved|accepted; agreed|consented; tried|attempted; ordered|commanded
annual|yearly; initial|first; final|last; entire|whole; various|different; additional|further; former|previous
""".replace("\n", "; ")
_GROUPS = [[word.strip() for word in group.split("|")] for group in _SYNONYMS.split(";") if "|" in group]
_OTHERS = {word: [other for other in group if other != word] for group in _GROUPS for word in group}
_WORDY = re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, _OTHERS), key=len, reverse=True)) + r")\b")
_OPENING = re.compile(
    r"^(?P<opening>(?:In|On|At|During|After|Before|Since|By|For|From|Until|Under|With|According to)\b[^,;:]{2,50})"
    r", (?P<rest>.{20,})$"
)
_ADVERB = re.compile(
    r"\b(?:\w{3,}ly|also|very|however|then|still|thus|therefore|moreover|furthermore|indeed|just|quite|rather|even"
    r"|perhaps|instead|meanwhile|too)\b,?\s",
    re.IGNORECASE,
)
_KEPT_LY = re.compile(
    r"^(?:only|early|family|daily|weekly|monthly|italy|july|supply|reply|apply|assembly|ally)\W*$", re.I
)
_TAIL = re.compile(r"^(?P<rest>.{25,}?), (?:which|who|where|when|while|as|with|including|and|but|\w+ing|\w+ed)\b[^,]*$")
_PHRASE = re.compile(r"^(?P<rest>.{30,}) (?:in|at|on|for|with|by|during|after|through|from|as) [^,;]{3,45}$")
_BRACKETS = re.compile(r"\s?(?:\([^()]{0,120}\)|\[[^\[\]]{0,20}\])")
_APPOSITION = re.compile(r"^(?P<who>[A-Z][\w.'’-]*(?: [A-Z][\w.'’-]*){0,3}), (?P<what>(?:an?|the) [^,]{5,60}),")
_OF = re.compile(r"\b[Tt]he (?P<what>[a-z]+) of (?P<who>[A-Z][\w-]+(?: [A-Z][\w-]+){0,2})(?![\w'’])")
_OWN = re.compile(r"\b(?P<who>[A-Z][\w-]+(?: [A-Z][\w-]+){0,2})['’]s (?P<what>[a-z]+)\b")
_DATE = re.compile(rf"\b(?P<month>{'|'.join(MONTHS)}) (?P<day>\d{{1,2}}), (?P<year>\d{{4}})\b")
_GROUPED = re.compile(r"(?<![\w.,$])(?P<number>\d{1,3}(?:,\d{3}){1,4})(?![\d.,]*\d)")
_DECIMAL = re.compile(r"(?<![\w.,])(?P<whole>\d{1,3})\.(?P<part>\d{1,3})(?=\s?(?:%|per ?cent|million|billion))")
_TWICE = re.compile(r"\b(about|around|approximately|nearly) (?:about|around|approximately|nearly)\b", re.IGNORECASE)
_PRONOUN = re.compile(r"^(?:He|She|It|They)\b(?=\s+(?!['’]))")
_POSSESSIVE = re.compile(r"^(?:His|Her|Its|Their)\b")


def reword(text: str, rng: random.Random, entity: str = "") -> str:
    """`text` after a few of the rules, drawn at random; what holds by `text` still holds.

    Args:
        text: A sentence.
        rng: Decides which rules.
        entity: What a pronoun that opens the sentence stands for.
    """
    text = text.strip()
    if entity:
        text = _POSSESSIVE.sub(f"{entity}'s", _PRONOUN.sub(entity, text))
    text = text.rstrip(" .;,")
    for rule in rng.sample(RULES, k=rng.randint(2, len(RULES) - 2)):
        changed = rule(text, rng).strip(" ,;")
        if len(changed.split()) >= 4:
            text = changed[0].upper() + changed[1:]
    return text + "." * rng.randint(0, 1)


def drop_brackets(text: str, rng: random.Random) -> str:
    """Without what stands in brackets."""
    return _BRACKETS.sub("", text)


def move_opening(text: str, rng: random.Random) -> str:
    """An opening moves to the end or goes: "In 1990, she moved" becomes "She moved in 1990", or "She moved"."""
    match = _OPENING.match(text)
    if not match:
        return text
    opening = match["opening"][0].lower() + match["opening"][1:]
    return match["rest"] if rng.random() < 0.4 else f"{match['rest']} {opening}"


def drop_adverbs(text: str, rng: random.Random) -> str:
    """Without adverbs and connectives."""
    return _ADVERB.sub(lambda match: match.group() if _KEPT_LY.match(match.group()) else "", text)


def drop_tail(text: str, rng: random.Random) -> str:
    """Without the last part behind a comma."""
    match = _TAIL.match(text)
    return match["rest"] if match else text


def drop_phrase(text: str, rng: random.Random) -> str:
    """Without the last prepositional phrase."""
    match = _PHRASE.match(text)
    return match["rest"] if match else text


def state_apposition(text: str, rng: random.Random) -> str:
    """An apposition alone: "Ada, the daughter of Byron, wrote" becomes: "Ada is the daughter of Byron"."""
    match = _APPOSITION.match(text)
    return f"{match['who']} is {match['what']}" if match else text


def turn_possessive(text: str, rng: random.Random) -> str:
    """Turned round: "the capital of Ghana" becomes "Ghana's capital", and back."""
    if _OF.search(text):
        return _OF.sub(r"\g<who>'s \g<what>", text, count=1)
    return _OWN.sub(r"the \g<what> of \g<who>", text, count=1)


def swap_synonyms(text: str, rng: random.Random) -> str:
    """Some words replaced by others of the same meaning."""
    return _WORDY.sub(lambda m: rng.choice(_OTHERS[m.group()]) if rng.random() < 0.7 else m.group(), text)


def write_date(text: str, rng: random.Random) -> str:
    """Otherwise or less exactly: "May 3, 1990" becomes "3 May 1990", "May 1990" or "1990"."""
    form = rng.choice((r"\g<day> \g<month> \g<year>", r"\g<month> \g<year>"))
    return _DATE.sub(form, text)


def round_numbers(text: str, rng: random.Random) -> str:
    """Long numbers in words of size ("35.3 million"), or without separators; decimals to fewer digits."""
    text = _GROUPED.sub(lambda match: _size(match["number"], rng), text)
    text = _DECIMAL.sub(lambda m: _short(float(f"{m['whole']}.{m['part']}"), rng), text)
    return _TWICE.sub(r"\1", text)


def _size(number: str, rng: random.Random) -> str:
    value = int(number.replace(",", ""))
    for size, name in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million")):
        if value >= size:
            return (
                f"{rng.choice(('', 'about ', 'around ', 'approximately '))}{value / size:.{rng.randint(1, 2)}f} {name}"
            )
    return number.replace(",", "") if rng.random() < 0.5 else f"about {round(value, -len(str(value)) + 3):,}"


def _short(value: float, rng: random.Random) -> str:
    return f"{rng.choice(('', 'about ', 'nearly '))}{value:.0f}" if value >= 20 else f"{value:.1f}"


RULES: tuple[Rule, ...] = (
    drop_brackets,
    move_opening,
    drop_adverbs,
    drop_tail,
    drop_phrase,
    state_apposition,
    turn_possessive,
    swap_synonyms,
    write_date,
    round_numbers,
)
