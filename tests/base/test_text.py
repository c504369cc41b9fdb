import pytest

from factalign.base.text import stem, stems


@pytest.mark.parametrize(
    "words",
    [("bordered", "bordering", "borders", "border"), ("country", "countries"), ("located", "location")],
)
def test_inflections_share_a_stem(words):
    assert len({stem(word) for word in words}) == 1


def test_a_region_keeps_its_adjective():
    assert stems("Southern Africa") != stems("South Africa")


def test_stems_fold_accents_and_join_compass_points():
    assert stems("Côte d’Ivoire, South-East") == stems("cote d'ivoire southeast")


def test_any_text_has_stems():
    for text in ("", "🎉", "日本は島国です", "\ud800 lone", "a\u0301b", "1,234.5%"):
        assert isinstance(stems(text), list)
