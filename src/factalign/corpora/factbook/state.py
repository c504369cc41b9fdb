"""What kind of state a country is: names, form of government, capital, heads, memberships, currency."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from factalign.corpora.factbook.geography import Point, bearing, distance_km, parse_point
from factalign.corpora.factbook.names import NOT_MEMBER, ORGANISATIONS
from factalign.corpora.factbook.place import Atlas, is_island
from factalign.corpora.factbook.profile import Derived, Profile
from factalign.corpora.facts import Fact, Item

ORGANISATIONS_PER_PASSAGE = 6
_FORM_WORDS = re.compile(
    r"[a-z-]*(?:republic|monarchy|democra|federal|federation|presidential|parliamentary|constitutional|absolute"
    r"|communist|dictator|theocra|authoritarian|military|sultanate|emirate|kingdom|principality|duchy|socialist"
    r"|islamic|union)[a-z-]*"
)
_NOT_FREE = re.compile(r"absolute|communist|dictator|authoritarian|military|transition|theocra")
# A kind of state (as a pattern) -> what a country cannot be without it.
_EXCLUDED = {
    "monarch|kingdom|emirate|sultanate|principality|duchy": (
        "monarchy", "constitutional monarchy", "absolute monarchy", "parliamentary monarchy",
        "hereditary monarchy",
    ),
    "absolute": ("absolute monarchy",),
    "constitutional": ("constitutional monarchy",),
    "republic": ("republic", "presidential republic", "parliamentary republic", "democratic republic"),
    "federal|federation": ("federal", "federation", "federal republic", "federal state"),
    "unitary": ("unitary", "unitary state", "unitary republic"),
    "presidential": ("presidential republic", "presidential system", "presidential democracy"),
    "parliamentary": ("parliamentary republic", "parliamentary system", "parliamentary democracy"),
    "communist": ("communist", "communist state", "one party state", "single party state"),
    "dictator|authoritarian|military": ("dictatorship", "military dictatorship"),
    "landlocked": ("landlocked",),
    "coastal": ("coastal",),
    "island": ("island nation", "island country", "island state", "archipelago"),
    "sovereign": ("sovereign", "independent country", "sovereign state"),
}  # fmt: skip
_TITLES = re.compile(
    r"\b(?:Governor-General|Prime Minister|Vice President|Grand Duke|Co-prince|President|King|Queen|Emperor"
    r"|Emir|Amir|Sultan|Crown Prince|Prince|Chancellor|Pope|Supreme Leader|Premier|Chairman|Captain Regent"
    r"|Taoiseach|Governor)\b"
)
_MONARCHS = {"King", "Queen", "Emperor", "Emir", "Amir", "Sultan", "Grand Duke"}
# A place nearer to the middle than this share of the country's width lies in no direction of it.
_CENTRAL = 0.15


def names(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """Other names, demonyms, former names."""
    others = [name for name in profile.names if name != profile.title]
    former = [name.strip() for name in profile.get("Government", "Country name", "former").split(",")]
    former = [name for name in former if len(name) > 2 and name.lower() != "none"]
    if not others and not profile.demonyms:
        return
    text = f"{profile.title} is also called {', '.join(others)}" if others else profile.title
    facts = []
    if profile.demonyms:
        text += f"; its people are {', '.join(profile.demonyms)}"
    if former:
        text += f"; formerly known as {', '.join(former)}"
        cues = ("formerly", "former name", "previously known as")
        facts.append(Fact("former name", cues, tuple(Item((name,)) for name in former)))
    if profile.get("Government", "Country name", "conventional long form").lower() not in ("", "none"):
        cues = ("official name", "officially", "officially known as")
        facts.append(Fact("official name", cues, (Item(profile.names),), complete=True))
    yield "Profile – Names", text, tuple(facts)


def kind(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """Sovereign or not, landlocked, coastal or island, republic or monarchy, and what this excludes."""
    classes = ["country", "nation", "state", "nation state", "land"]
    words = []
    if profile.is_sovereign:
        words += ["sovereign", "independent", "sovereign state", "independent country", "sovereign nation"]
    else:
        classes += ["territory"]
    coast = profile.number("Geography", "Coastline")
    if coast is not None:
        words += ["coastal", "maritime", "coastal country"] if coast else ["landlocked"]
    if is_island(profile):
        words += ["island", "island nation", "island country", "island state", "islands"]
    shape = f"{profile.get('Geography', 'Location')} {profile.get('Geography', 'Geography - note')}"
    words += [word for word in ("archipelago", "peninsula", "enclave", "atoll") if re.search(rf"\b{word}", shape)]
    words = list(dict.fromkeys([*words, *_forms(profile)]))
    facts = [
        Fact("class", (), tuple(Item((word,)) for word in classes), needs_cue=False, generic=True),
        Fact("kind", (), (*(Item((word,)) for word in words), *_excluded(words)), needs_cue=False),
        *([Fact("topic")] if profile.is_sovereign else []),
    ]
    yield "Profile – Kind of country", f"{profile.title} is a {', '.join([*classes, *words])}", tuple(facts)


def _forms(profile: Profile) -> list[str]:
    """Words for the form of government, those in the name and those that they imply."""
    form = profile.get("Government", "Government type").lower()
    long = profile.get("Government", "Country name", "conventional long form").split("(")[0].lower()
    told = f"{form} {long}"
    free = bool(form) and not _NOT_FREE.search(form)
    words = _FORM_WORDS.findall(told)
    if "monarchy" in told or "kingdom" in told:
        words += ["monarchy"]
    if "constitutional monarchy" in told:
        words += ["constitutional monarchy"]
    if free and re.search("republic|democra|parliamentary", told):
        words += ["democracy", "democratic", "democratic republic", "representative democracy"]
    for system in ("parliamentary", "presidential", "semi-presidential"):
        if re.search(rf"(?<![\w-]){system}", told):
            words += [
                f"{system} system",
                f"{system} form of government",
                *([f"{system} democracy"] if free else []),
            ]
    if free and re.search(r"(?<!-)presidential republic", told):
        words += ["constitutional republic"]
    if "federal" in told or "federation" in told:
        words += ["federal", "federation"]
    elif profile.is_sovereign:
        words += ["unitary"]
    return words


def _excluded(words: Sequence[str]) -> Iterator[Item]:
    told = " ".join(words)
    for sign, excluded in _EXCLUDED.items():
        if not re.search(sign, told):
            yield from (Item((name,), holds=False) for name in excluded if name not in words)


def heads(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """Head of state and head of government: title and person."""
    state = profile.get("Government", "Executive branch", "chief of state")
    government = profile.get("Government", "Executive branch", "head of government")
    facts = []
    cues: tuple[str, ...]
    if state:
        cues = ("head of state", "head of the state", "chief of state")
        facts.append(Fact("head of state", cues, (Item(_holders(state)),), complete=True))
    if government:
        cues = (
            "head of government",
            "head of the government",
            "government is headed by",
            "government headed by",
        )
        facts.append(Fact("head of government", cues, (Item(_holders(government)),), complete=True))
    if facts:
        text = f"the head of state of {profile.title} is {state}; the head of government is {government}"
        yield "Profile – Heads of state and government", text, tuple(facts)


def _holders(text: str) -> tuple[str, ...]:
    """Titles, full names and surnames of "President John Dramani MAHAMA (since …)"."""
    found: list[str] = []
    for part in re.sub(r"\([^)]*\)", " ", text).split(";"):
        titles = _TITLES.findall(part)
        words = _TITLES.sub(" ", part).split()
        surnames = [word.capitalize() for word in words if word.isupper() and len(word) > 3]
        full = " ".join(word.capitalize() if word.isupper() and len(word) > 3 else word for word in words)
        found += [*titles, *(["monarch"] if _MONARCHS & set(titles) else []), full, *surnames]
    return tuple(dict.fromkeys(name for name in found if name)) or (text,)


def capital(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """The capital (or capitals), where it lies in the country, and the largest city."""
    text = profile.get("Government", "Capital", "name")
    if not text or text.startswith("no official"):
        return
    degrees = _position(profile, parse_point(profile.get("Government", "Capital", "geographic coordinates")))
    items = []
    for part in re.split(r";|,(?![^(]*\))", text.split("note")[0]):
        base = re.sub(r"\s*\(.*?\)", "", part).strip(" -")
        others = (name.strip() for inner in re.findall(r"\(([^)]*)\)", part) for name in re.split(r"[,/]|aka", inner))
        if base[:1].isupper() and len(base) < 40:
            items.append(Item((base, f"{base} City", *(name for name in others if name.istitle())), degrees))
    facts = [Fact("capital", ("capital", "capital city", "seat of government"), tuple(items), complete=True)]
    sentence = f"the capital city of {profile.title} is {text}"
    cities = profile.get("People and Society", "Major urban areas - population")
    largest = re.search(r"(?:million|\d{3})\s+([A-Z][^,;\d(]*)", cities)
    if largest:
        city = largest[1].strip().title()
        cues = ("largest city", "biggest city", "most populous city")
        facts.append(Fact("largest city", cues, (Item((city,)),), complete=True))
        sentence += f"; its largest city is {city}"
    yield "Profile – Capital", sentence, tuple(facts)


def _position(profile: Profile, point: Point | None) -> float | None:
    """Direction from the country's middle; None near the middle."""
    km2 = profile.number("Geography", "Area", "total")
    if not point or not profile.point or not km2 or distance_km(profile.point, point) < _CENTRAL * km2**0.5:
        return None
    return bearing(profile.point, point)


def memberships(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """Organisations that the country is a full member of, a few in a passage so that each is found."""
    members: list[tuple[str, Item]] = []
    for part in re.split(r",(?![^(]*\))", profile.get("Government", "International organization participation")):
        match = re.match(r"\s*([^(]+?)\s*(?:\(([^)]*)\))?\s*$", part)
        if match and not NOT_MEMBER.search(match[2] or ""):
            short = match[1]
            full = ORGANISATIONS.get(short, ())
            told = f"{full[0]} ({short})" if full and full[0] != short else short
            members.append((told, Item((*full, *([short] if len(short) > 1 else [])))))
    cues = ("member", "member state", "membership", "joined")
    for start in range(0, len(members), ORGANISATIONS_PER_PASSAGE):
        told, items = zip(*members[start : start + ORGANISATIONS_PER_PASSAGE], strict=True)
        fact = Fact("member of", cues, items, complete=True, needs_cue=False)
        yield "Profile – Memberships", f"{profile.title} is a member of {', '.join(told)}", (fact,)


def currency(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """The currency by name and code."""
    text = re.sub(r"\s*per US dollar.*", "", profile.get("Economy", "Exchange rates", "Currency"))
    match = re.match(r"([^(]+?)\s*(?:\(([A-Z]{3})\))?\s*-?$", text)
    if match:
        short = "CFA franc" if "Financi" in match[1] else match[1].split()[-1]
        item = Item(tuple(filter(None, (match[1], short, match[2]))))
        fact = Fact("currency", ("currency", "monetary unit", "legal tender"), (item,), complete=True)
        yield "Profile – Currency", f"the currency of {profile.title} is {text}", (fact,)
