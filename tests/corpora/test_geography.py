import pytest

from factalign.corpora.factbook.geography import bearing, centre, compass_word, distance_km, parse_point


def test_parse_point_reads_signs_and_minutes():
    assert parse_point("8 30 S, 2 15 W") == (-8.5, -2.25)
    assert parse_point("<b>mainland:</b> 46 00 N, 2 00 E; 4 00 N, 53 00 W") == (46.0, 2.0)
    assert parse_point("no coordinates") is None


@pytest.mark.parametrize(
    ("end", "word"), [((20, 0), "north"), ((10, 10), "east"), ((0, -10), "southwest"), ((0, 0), "south")]
)
def test_bearing_names_the_direction(end, word):
    assert compass_word(bearing((10, 0), end)) == word


def test_bearing_crosses_the_date_line():
    assert compass_word(bearing((0, 175), (0, -175))) == "east"


def test_centre_crosses_the_date_line():
    latitude, longitude = centre([(0, 170), (0, -170)])
    assert abs(latitude) < 1e-6
    assert abs(abs(longitude) - 180) < 1e-6


def test_distance_of_a_degree():
    assert distance_km((0, 0), (0, 1)) == pytest.approx(111.2, abs=0.1)
