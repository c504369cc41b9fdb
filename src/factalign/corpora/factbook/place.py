"""Where a country lies: regions, neighbours and seas with their directions, size."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from factalign.base.text import fold
from factalign.corpora.factbook.geography import Point, bearing, centre, compass_word
from factalign.corpora.factbook.names import NORTH_AFRICA, REGIONS
from factalign.corpora.factbook.profile import NOT_COUNTRIES, Derived, Profile
from factalign.corpora.facts import Fact, Item

_SEA = re.compile(
    r"(?:(?:[A-Z][a-z]+ )+(?:Sea|Ocean|Gulf|Bay|Channel|Strait|Bight)\b"
    r"|(?:Gulf|Bay|Bight|Strait|Sea) of [A-Z][a-z]+|Kattegat|Skagerrak)"
)
_OCEAN_OF = {
    "Indian Ocean": "Arabian Sea, Bay of Bengal, Andaman Sea, Mozambique Channel",
    "Atlantic Ocean": (
        "Gulf of Guinea, Bight of Benin, Bight of Biafra, Bay of Biscay, North Sea, Norwegian Sea, "
        "English Channel, Irish Sea"
    ),
    "Pacific Ocean": "South China Sea, East China Sea, Philippine Sea, Coral Sea, Tasman Sea, Sea of Japan",
}
_REGION = re.compile(
    r"\b(?:(North|South|East|West|Northeast|Northwest|Southeast|Southwest|East-Central|Central)(?:ern)? )?"
    r"(Africa|Europe|Asia|(?:South |North |Central )?America|Oceania|Middle East|Caribbean)\b",
    re.IGNORECASE,
)
_FOLDER_REGIONS = {
    "africa": ("Africa",),
    "antarctica": ("Antarctica",),
    "australia-oceania": ("Oceania",),
    "central-america-n-caribbean": ("North America", "Americas"),
    "central-asia": ("Asia", "Eurasia"),
    "east-n-southeast-asia": ("Asia",),
    "europe": ("Europe",),
    "middle-east": ("Asia", "Middle East", "Western Asia", "West Asia", "Southwest Asia", "Near East"),
    "north-america": ("North America", "Americas"),
    "south-america": ("South America", "Americas"),
    "south-asia": ("Asia",),
}
_BORDER_CUES = (
    "border", "bordered", "bordering", "bounded", "surrounded", "surround", "neighbour", "neighbouring",
    "neighbor", "neighboring", "boundary", "frontier", "shares a border", "coastline", "coast",
)  # fmt: skip
_NAME = re.compile(r"[A-Z][\w'-]+(?: (?:and |of |the )?[A-Z][\w'-]+)*")

# Angles between the bearing of a middle and a direction that is still right, in degrees. Seas are long.
_LAND_SPREAD, _SEA_SPREAD, _CONTINENT_SPREAD, _ANYWHERE = 55.0, 67.5, 80.0, 180.0
# From this share of the border on, a neighbour lies all around.
_ENCLOSING_SHARE = 0.7


class Atlas:
    """What one entry needs to know about the others: names, and the middles of seas and continents."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.by_name: dict[str, Profile] = {}
        for profile in reversed(profiles):
            self.by_name.update({fold(name): profile for name in profile.names})
        for profile in profiles:
            self.by_name[fold(profile.title)] = profile
        coasts: dict[str, list[Point]] = defaultdict(list)
        regions: dict[str, list[Point]] = defaultdict(list)
        for profile in profiles:
            if profile.point and profile.code not in NOT_COUNTRIES:
                for sea in seas_of(profile):
                    coasts[sea].append(profile.point)
                for region in _FOLDER_REGIONS.get(profile.region, ())[:1]:
                    regions[region].append(profile.point)
        # The middle of the countries around a sea is a fair middle of the sea.
        self.seas = {sea: centre(points) for sea, points in coasts.items()}
        self.continents = {region: centre(points) for region, points in regions.items()}


def seas_of(profile: Profile) -> list[str]:
    """Seas named in the location, in order."""
    return list(dict.fromkeys(_SEA.findall(profile.get("Geography", "Location"))))


def is_island(profile: Profile) -> bool:
    """Whether the location says so, or the country has a coast and no land border."""
    if re.search(r"\b(?:islands?|archipelago|atolls?)\b", profile.get("Geography", "Location")):
        return True
    return (profile.number("Geography", "Coastline") or 0) > 0 and not borders_of(profile)


def borders_of(profile: Profile) -> list[tuple[str, float]]:
    """Neighbours by land, and the length of the border in km."""
    text = profile.get("Geography", "Land boundaries", "border countries")
    parts = (re.match(r"\s*(.+?)\s+([\d,.]+)\s*km", part) for part in re.split(r";|,(?=\s*[A-Z])", text))
    return [(match[1], float(match[2].replace(",", ""))) for match in parts if match]


def regions(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """Regions, continents and, for islands, the seas that the country lies in."""
    location = profile.get("Geography", "Location")
    if not location:
        return
    items: dict[str, Item] = {}

    def add(*names: str) -> None:
        if names:
            items.setdefault(names[0], Item(names))

    names: tuple[str, ...]
    told = f"{location.split(' bordering')[0]};{profile.get('Geography', 'Map references')}"
    for compass, continent in _REGION.findall(told):
        for point in _points(compass, continent):
            adjective = point if point.endswith("ral") else f"{point}ern"
            names = (f"{adjective} {continent}", f"{point} {continent}", f"{point} of {continent}")
            # "Southern Africa" must not become the name of another country.
            add(*(name for name in (*names, f"{adjective} part of {continent}") if fold(name) not in atlas.by_name))
        add(continent)
    for region in _FOLDER_REGIONS.get(profile.region, ()):
        add(region)
    if profile.region == "africa" and profile.code not in NORTH_AFRICA.split():
        add("Sub-Saharan Africa")
    for names, codes in REGIONS.items():
        if profile.code in codes.split():
            add(*names)
    for sea in seas_of(profile):
        short = _short(sea)
        add(f"{sea} region", f"{short} region", f"{short} basin", f"{sea} coast", f"coast of {sea}")
        if is_island(profile):
            add(sea, *_wider(sea))
    for continent, middle in atlas.continents.items():
        if profile.point and continent in items:
            names = (
                continent,
                f"{continent}n continent",
                f"{continent} continent",
                f"continent of {continent}",
            )
            items[continent] = Item((*names, "continent"), bearing(middle, profile.point), _CONTINENT_SPREAD)
    cues = ("located", "situated", "lies", "lie", "nestled")
    fact = Fact("location", cues, tuple(items.values()), complete=True, needs_cue=False)
    yield "Profile – Regions", f"{profile.title} is located in {', '.join(items)}", (fact,)


def _points(compass: str, continent: str) -> tuple[str, ...]:
    """A compass point and those that include it: southeastern Europe is in southern and in eastern Europe."""
    compass = compass.capitalize()
    if f"{compass} {continent.capitalize()}" == "Southeast Asia":  # a region of its own
        return (compass,)
    if compass.startswith(("North", "South")) and len(compass) > 5:
        return (compass, compass[:5], compass[5:].capitalize())
    return tuple(part.capitalize() for part in compass.split("-") if part)


def neighbours(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """What borders the country, by land and by sea, and in which direction."""
    items, phrases = [], []
    for names, degrees, spread in [*_land(profile, atlas), *_sea(profile, atlas)]:
        items.append(Item(names, degrees, spread))
        article = "the " if names[0] in atlas.seas else ""
        phrases.append(f"{article}{names[0]}" + (f" to the {compass_word(degrees)}" if degrees is not None else ""))
    if not items:
        return
    near = Fact("near", ("between", "adjacent", "near", "close to", "off"), (*items, *_landmarks(profile, atlas)))
    text = f"borders, is bordered by, bounded by, surrounded by and neighbours {', '.join(phrases)}"
    yield (
        "Profile – Neighbours",
        f"{profile.title} {text}",
        (Fact("borders", _BORDER_CUES, tuple(items), complete=True), near),
    )


def _land(profile: Profile, atlas: Atlas) -> Iterator[tuple[tuple[str, ...], float | None, float]]:
    borders = borders_of(profile)
    perimeter = sum(km for _, km in borders) + (profile.number("Geography", "Coastline") or 0)
    for name, km in borders:
        other = atlas.by_name.get(fold(re.sub(r"\s*\(.*", "", name)))
        degrees = bearing(profile.point, other.point) if profile.point and other and other.point else None
        share = km / perimeter
        # A neighbour along much of the border lies in many directions at once.
        spread = _ANYWHERE if share >= _ENCLOSING_SHARE else max(_LAND_SPREAD, 180 * share + 22.5)
        yield (other.names if other else (name,)), degrees, spread


def _sea(profile: Profile, atlas: Atlas) -> Iterator[tuple[tuple[str, ...], float | None, float]]:
    spread = _ANYWHERE if is_island(profile) and not borders_of(profile) else _SEA_SPREAD
    for sea in seas_of(profile):
        names = (sea, *_wider(sea), *([_short(sea)] if sea.endswith(("Ocean", "Mediterranean Sea")) else []))
        yield (
            names,
            bearing(profile.point, atlas.seas[sea]) if profile.point and sea in atlas.seas else None,
            spread,
        )


def _landmarks(profile: Profile, atlas: Atlas) -> Iterator[Item]:
    """Countries that the location is told by ("south of India")."""
    for name in sorted(set(_NAME.findall(profile.get("Geography", "Location")))):
        other = atlas.by_name.get(fold(name))
        if other and other is not profile and profile.point and other.point:
            yield Item(other.names, bearing(profile.point, other.point))


def _short(sea: str) -> str:
    return sea.removesuffix(" Sea").removesuffix(" Ocean")


def _wider(sea: str) -> tuple[str, ...]:
    """Other names of a sea, and the ocean that it is a part of."""
    general = re.sub(r"^(?:North|South|Southern) ", "", sea)
    names = [general] if general != sea and general.endswith("Ocean") else []
    names += [ocean for ocean, parts in _OCEAN_OF.items() if sea in parts.split(", ")]
    return (*names, "Gulf of Mexico") if sea == "Gulf of America" else tuple(names)


def area(profile: Profile, atlas: Atlas) -> Iterator[Derived]:
    """Total and land area, in square metres as facts, in square kilometres and miles as text."""
    sizes = [profile.number("Geography", "Area", field) for field in ("total", "land")]
    if sizes[0]:
        text = f"total area of {sizes[0]:,.0f} square kilometers ({sizes[0] / 2.589988:,.0f} square miles)"
        cues = ("area", "covers", "covering", "size")
        facts = tuple(Fact("area", cues, quantity=km2 * 1e6, unit="m2") for km2 in sizes if km2)
        yield "Profile – Area", f"{profile.title} covers a {text}", facts
