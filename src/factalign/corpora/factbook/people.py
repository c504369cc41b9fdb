"""Who lives in a country: population, religions, ethnic groups, languages, with their shares."""

from __future__ import annotations

import re
from collections.abc import Iterator

from factalign.corpora.factbook.place import Atlas
from factalign.corpora.factbook.profile import Derived, Profile
from factalign.corpora.facts import Fact, Item

_DENOMINATIONS = {
    "Christian": re.compile(
        "christian|catholic|protestant|orthodox|evangelical|anglican|lutheran|baptist|methodist|pentecostal"
        "|adventist|jehovah|mormon|presbyterian|church|apostolic|calvinist|reformed",
        re.IGNORECASE,
    ),
    "Muslim": re.compile("muslim|islam|sunni|shia", re.IGNORECASE),
}
_FAITHS = {
    "Muslim": ("Muslim", "Islam", "Islamic"),
    "Christian": ("Christian", "Christianity"),
    "Buddhist": ("Buddhist", "Buddhism"),
    "Hindu": ("Hindu", "Hinduism"),
    "Jewish": ("Jewish", "Judaism", "Jew"),
    "Roman Catholic": (
        "Roman Catholic",
        "Catholic",
        "Catholicism",
        "Roman Catholicism",
        "Roman Catholic Church",
    ),
    "Catholic": ("Catholic", "Catholicism", "Roman Catholic", "Roman Catholicism"),
    "Protestant": ("Protestant", "Protestantism"),
    "Orthodox": ("Orthodox", "Eastern Orthodox", "Orthodox Christian", "Orthodox Church"),
    "Evangelical Lutheran": ("Evangelical Lutheran", "Lutheran", "Lutheranism"),
}
_SHARE = re.compile(
    r"^(?P<name>.*?)\s*(?:less than|more than|at least|nearly|almost|around|over|<|>|~|approximately|about)?"
    r"\s*(?P<low>\d+(?:\.\d+)?)(?:\s*-\s*(?P<high>\d+(?:\.\d+)?))?\s*%"
)


def population(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """How many people, women and men."""
    total = profile.number("People and Society", "Population", "total")
    if not total:
        return
    people = ("population", "inhabitants", "people", "residents", "citizens")
    facts = [Fact("population", people, complete=True, quantity=total)]
    for field, cues in (("male", ("men", "male", "males")), ("female", ("women", "female", "females"))):
        value = profile.number("People and Society", "Population", field)
        if value:
            facts.append(Fact(f"{field} population", cues, complete=True, quantity=value))
    text = f"{profile.title} has a population of {total:,.0f} people (inhabitants), about {_rounded(total)}"
    yield "Profile – Population", text, tuple(facts)


def _rounded(value: float) -> str:
    for word, size in (("billion", 1e9), ("million", 1e6)):
        if value >= size:
            return f"{value / size:.1f} {word}"
    return f"{value:,.0f}"


def religions(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """Faiths and denominations with their shares; Christians and Muslims as a whole where these are
    listed.
    """
    text = profile.get("People and Society", "Religions")
    items = [Item(_FAITHS.get(item.names[0], item.names), share=item.share) for item in share_items(text)]
    cues = ("religion", "religious", "faith", "adherents")
    yield from _groups(profile, "Religions", cues, [*_totals(text), *items])


def ethnic_groups(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """Ethnic groups with their shares."""
    cues = ("ethnic", "ethnicity", "ethnic group", "people")
    yield from _groups(profile, "Ethnic groups", cues, share_items(profile.get("People and Society", "Ethnic groups")))


def _groups(profile: Profile, field: str, cues: tuple[str, ...], items: list[Item]) -> Iterator[Derived]:
    if not items:
        return
    text = f"the population of {profile.title} is {profile.get('People and Society', field)}"
    top = max(items, key=lambda item: item.share or 0)
    if (top.share or 0) > 50:
        text += f"; predominantly {top.names[0]}, with a {top.names[0]} majority"
    yield f"Profile – {field}", text, (Fact(field.lower(), cues, tuple(items), needs_cue=False),)


def languages(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """Languages with their shares, and which of them are official."""
    text = profile.get("People and Society", "Languages")
    if not text:
        return
    cues = ("language", "speak", "spoken", "speaking", "speaker", "lingua franca")
    facts = [Fact("languages", cues, tuple(share_items(text)))]
    sentence = f"languages spoken in {profile.title} are {text}"
    official = [re.sub(r"\s*\(.*", "", part) for part in re.split(r"[,;]", text) if "official" in part]
    note = profile.get("People and Society", "Languages", "note")
    official += re.findall(r"([A-Z][a-z]+) is (?:the|an) official language", note)
    names = [name.strip() for part in official for name in re.split(r"\band\b", part) if name.strip()]
    if names:
        items = tuple(Item((name,)) for name in names)
        facts.append(Fact("official language", ("official language",), items, complete=True))
        sentence += f"; official language: {', '.join(names)}"
    yield "Profile – Languages", sentence, tuple(facts)


def share_items(text: str) -> list[Item]:
    """Groups and shares of "Akan 45.7%, Ewe 12.8%, other 2%", those inside brackets too; "other" is none."""
    text = re.sub(r"\((?:official|includes?)[^)]*\)", " ", text.split("note:")[0])
    top = re.sub(r"\([^)]*\)", " ", text)
    inner = [part for group in re.findall(r"\(([^)]*%[^)]*)\)", text) for part in re.split(r"[,;]", group)]
    return [item for part in (*re.split(r"[,;]", top), *inner) if (item := _share_item(part))]


def _share_item(part: str) -> Item | None:
    part = part.strip(" )(")
    match = _SHARE.match(part)
    name = (match["name"] if match else part).strip(" -)")
    if not name or not name[0].isupper() or len(name.split()) > 5:
        return None
    share = (float(match["low"]) + float(match["high"] or match["low"])) / 2 if match else None
    names = [variant.strip() for variant in re.split(r"/|\bor\b", name) if variant.strip()]
    return Item(tuple(dict.fromkeys([name, *names])), share=share)


def _totals(text: str) -> Iterator[Item]:
    """Faiths summed over their denominations, where the source lists only these."""
    parts = [part.strip() for part in re.split(r"[,;]", re.sub(r"\([^)]*\)", " ", text.split("note:")[0]))]
    for faith, pattern in _DENOMINATIONS.items():
        shares = [match for part in parts if pattern.search(part) and (match := _SHARE.match(part))]
        if shares and not any(part.startswith(faith) for part in parts):
            yield Item(_FAITHS[faith], share=min(100.0, sum(float(match["low"]) for match in shares)))
