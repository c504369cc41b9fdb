import json

import pytest

from factalign.corpora import facts_from_json, read_passages, topics
from factalign.corpora.factbook.people import share_items
from factalign.corpora.factbook.reader import clean_html, read_profiles
from factalign.corpora.splitting import split_text


def facts_of(passages, title, relation):
    rows = passages[passages["title"] == title]
    return [fact for text in rows["facts"] for fact in facts_from_json(text) if fact.relation == relation]


def test_passages_say_country_section_and_field(passages):
    texts = passages["text"].tolist()
    assert "Midland. Economy – Industries: mining; tourism & fishing" in texts
    assert "Midland. Geography – Area: total: 10,000 sq km" in texts
    assert passages["passage_id"].is_unique


def test_neighbours_come_with_directions(passages):
    (fact,) = facts_of(passages, "Midland", "borders")
    found = {item.names[0]: round(item.bearing) for item in fact.items}
    assert found == {"Westland": 270, "Eastland": 90}
    assert fact.complete


def test_an_enclosing_neighbour_lies_all_around(passages):
    (fact,) = facts_of(passages, "Westland", "borders")
    assert fact.items[0].spread == 180


def test_seas_are_borders_and_regions(passages):
    (borders,) = facts_of(passages, "Eastland", "borders")
    assert any("Blue Sea" in item.names for item in borders.items)
    (location,) = facts_of(passages, "Eastland", "location")
    names = {name for item in location.items for name in item.names}
    assert {"Western Africa", "West Africa", "Africa", "Blue Sea coast"} <= names
    assert "Blue Sea" not in names  # only islands lie in their sea


def test_organisations_are_spelled_out_and_candidates_left_out(passages):
    names = {name for f in facts_of(passages, "Midland", "member of") for i in f.items for name in i.names}
    assert {"United Nations", "UN", "African Union", "Commonwealth of Nations"} <= names
    assert "European Union" not in names


def test_denominations_add_up_to_their_faith(passages):
    (fact,) = facts_of(passages, "Midland", "religions")
    shares = {item.names[0]: item.share for item in fact.items}
    assert shares["Christian"] == pytest.approx(35.5)
    assert shares["Muslim"] == 60


def test_kind_says_what_a_country_is_and_cannot_be(passages):
    (fact,) = facts_of(passages, "Midland", "kind")
    holds = {item.names[0]: item.holds for item in fact.items}
    assert holds["landlocked"]
    assert holds["sovereign"]
    assert holds["unitary"]
    assert holds["constitutional monarchy"] is False


def test_aliases_and_official_language(passages):
    aliases = json.loads(passages.loc[passages["title"] == "Midland", "aliases"].iloc[0])
    assert {"Midland", "Republic of Midland", "MDL"} <= set(aliases)
    (fact,) = facts_of(passages, "Midland", "official language")
    assert [item.names for item in fact.items] == [("French",)]


def test_topics_are_the_sovereign_countries(passages):
    assert topics(passages) == ["Eastland", "Midland", "Westland"]


def test_html_is_cleaned():
    text = "<p>one&nbsp;two<br><br><strong>note:</strong> three.<br>four</p>"
    assert clean_html(text) == "one two; note: three. four"


def test_long_text_is_split_without_loss():
    text = "; ".join(f"word{i} " * 30 + "end" for i in range(12))
    pieces = split_text(text, 100)
    assert " ".join(pieces) == text
    assert max(len(piece.split()) for piece in pieces) <= 100
    assert max(len(piece.split()) for piece in split_text("x " * 1000, 100)) == 100


def test_shares_inside_brackets_and_ranges():
    items = {i.names[0]: i.share for i in share_items("Akan 45-47% (Fante 10%), other 5%, Ga/Dangme less than 1%")}
    assert items == {"Akan": 46.0, "Fante": 10.0, "Ga/Dangme": 1.0}


def test_a_malformed_profile_is_named(tmp_path):
    (tmp_path / "africa").mkdir()
    path = tmp_path / "africa" / "aa.json"
    path.write_text("{ not json")
    with pytest.raises(ValueError, match=r"aa\.json"):
        read_profiles(str(tmp_path))
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"aa\.json"):
        read_profiles(str(tmp_path))


def test_an_empty_or_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no <region>"):
        read_passages({"name": "factbook", "options": {"data_dir": str(tmp_path)}})
    with pytest.raises(ValueError, match="no such folder"):
        read_passages({"name": "factbook", "options": {"data_dir": str(tmp_path / "missing")}})


def test_the_bundled_factbook():
    profiles = {profile.title: profile for profile in read_profiles()}
    assert len(profiles) == 256
    sovereign = [title for title, profile in profiles.items() if profile.is_sovereign]
    assert 185 <= len(sovereign) <= 200
    assert {"Democratic Republic of the Congo", "Côte d'Ivoire", "The Gambia", "Czechia"} <= set(sovereign)
    assert not {"World", "European Union", "Greenland", "Antarctica"} & set(sovereign)
    assert "Myanmar" in profiles["Burma"].names
    assert "DRC" in profiles["Democratic Republic of the Congo"].names
