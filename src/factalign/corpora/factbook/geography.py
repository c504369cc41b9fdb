"""Directions between points of the globe."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

Point = tuple[float, float]
_COORDINATES = re.compile(r"(\d+)\s+(\d+)\s*([NS]),\s*(\d+)\s+(\d+)\s*([EW])")
EARTH_RADIUS_KM = 6371.0


def parse_point(text: str) -> Point | None:
    """(latitude, longitude) in degrees of the first "8 00 N, 2 00 W" in `text`; None if there is none."""
    match = _COORDINATES.search(text)
    if not match:
        return None
    latitude = int(match[1]) + int(match[2]) / 60
    longitude = int(match[4]) + int(match[5]) / 60
    return (latitude if match[3] == "N" else -latitude, longitude if match[6] == "E" else -longitude)


def bearing(start: Point, end: Point) -> float:
    """Compass direction from `start` to `end` as on a map (along the rhumb line), degrees clockwise from
    north.
    """
    north = end[0] - start[0]
    east = (end[1] - start[1] + 180) % 360 - 180
    east *= math.cos(math.radians((start[0] + end[0]) / 2))
    return math.degrees(math.atan2(east, north)) % 360


def distance_km(start: Point, end: Point) -> float:
    """Great-circle distance (haversine formula)."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*start, *end))
    chord = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(chord)))


def centre(points: Iterable[Point]) -> Point:
    """Mean position on the sphere."""
    x = y = z = 0.0
    for latitude, longitude in points:
        lat, lon = math.radians(latitude), math.radians(longitude)
        x += math.cos(lat) * math.cos(lon)
        y += math.cos(lat) * math.sin(lon)
        z += math.sin(lat)
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def compass_word(degrees: float) -> str:
    """The nearest of the eight compass points."""
    points = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
    return points[round(degrees % 360 / 45) % 8]
