import pytest

from factalign.base.text import last_sentence_end, plain_stems, stem, stems, well_formed, with_topic, without_markup


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


def test_plain_stems_fold_case_and_end_at_any_punctuation():
    assert plain_stems("İSTANBUL, istanbul: 1,200 Borders") == {"istanbul", "1", "200", "border"}


def test_any_text_has_stems():
    for text in ("", "🎉", "日本は島国です", "\ud800 lone", "a\u0301b", "1,234.5%"):
        assert isinstance(stems(text), list)


@pytest.mark.parametrize("text", ["", "plain", "\ud800", "a\udfffb\ud83d", "\ud83d\ude00", "é 日本"])
def test_well_formed_keeps_every_offset(text):
    mended = well_formed(text)
    assert len(mended) == len(text)
    assert mended.encode("utf-8").decode("utf-8") == mended
    assert [old for old, new in zip(text, mended, strict=True) if old != new] == [
        char for char in text if "\ud800" <= char <= "\udfff"
    ]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("One. Two", 4),
        ("No end", 6),
        ("J. Smith came. He said (it) and", 14),
        ("See e.g. this one", 17),
        ("3. is an item", 13),
        ("日本です。次", 5),
        ('He said "yes." Then', 14),
    ],
)
def test_the_last_sentence_end(text, end):
    assert last_sentence_end(text) == end


def test_marks_of_markdown():
    assert without_markup("**Accra** is `big`[3] # of _it_") == "Accra is big  of it"


def test_a_topic_is_put_before_a_text_that_does_not_name_it():
    assert with_topic("It is big", "Ghana") == "Ghana: It is big"
    assert with_topic("Gambia is small", "The Gambia") == "Gambia is small"
    assert with_topic("It is big", "") == "It is big"
