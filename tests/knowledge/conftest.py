import json

import pandas as pd
import pytest

from factalign.knowledge import load_corpus, load_retriever


def field(text):
    return {"text": text}


def entry(name, code_location, coordinates, borders, coast="0 km (landlocked)", **extra):
    location, reference = code_location
    return {
        "Geography": {
            "Location": field(location),
            "Map references": field(reference),
            "Geographic coordinates": field(coordinates),
            "Area": {"total ": field("10,000 sq km"), "land": field("9,000 sq km")},
            "Land boundaries": {"border countries": field(borders)},
            "Coastline": field(coast),
        },
        "People and Society": {"Population": {"total": field("2,500,000 (2025 est.)")}, **extra.get("people", {})},
        "Government": {
            "Country name": {
                "conventional short form": field(name),
                "conventional long form": field(f"Republic of {name}"),
            },
            "Government type": field("presidential republic"),
            "Capital": {
                "name": field(f"{name} Town"),
                "geographic coordinates": field(coordinates),
            },
            "International organization participation": field("AU, C, EU (candidate country), UN"),
        },
        "Economy": {"Industries": field("mining<br>tourism &amp; <strong>fishing</strong>")},
    }


@pytest.fixture(scope="session")
def factbook_dir(tmp_path_factory):
    """A Factbook of three made-up countries: Westland | Midland | Eastland, the last one at the Blue Sea."""
    root = tmp_path_factory.mktemp("factbook")
    africa = root / "africa"
    africa.mkdir()
    people = {
        "Religions": field("Muslim (official) 60%, Protestant 20.5%, Roman Catholic 15%, other 4.5%"),
        "Languages": {"Languages": field("French (official), Wolof 40%")},
    }
    where = ("Western Africa, between Westland and Eastland", "Africa")
    midland = entry("Midland", where, "10 00 N, 0 00 E", "Westland 300 km; Eastland 300 km", people=people)
    midland["Government"]["Country name"]["abbreviation"] = field("MDL")
    westland = entry("Westland", ("Western Africa, west of Midland", "Africa"), "10 00 N, 10 00 W", "Midland 300 km")
    eastland = entry(
        "Eastland",
        ("Western Africa, bordering the Blue Sea, east of Midland", "Africa"),
        "10 00 N, 10 00 E",
        "Midland 300 km",
        coast="100 km",
    )
    for code, profile in (("xm", midland), ("xw", westland), ("xe", eastland)):
        (africa / f"{code}.json").write_text(json.dumps(profile), encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def passages(factbook_dir) -> pd.DataFrame:
    return load_corpus("factbook", data_dir=str(factbook_dir))


@pytest.fixture(scope="session")
def index_dir(passages, tmp_path_factory):
    directory = tmp_path_factory.mktemp("index")
    load_retriever("bm25").build(passages, directory)
    return directory
