import base64
import hashlib
import re

import pandas as pd
import pytest

from factalign.annotation import annotation_results, blind, draw_items, read_filled, sheet_csv, sheet_html
from factalign.annotation.labels import WORDS
from factalign.annotation.sheet import allocate, sheet_id
from factalign.base.records import RecordError, read_records
from factalign.base.text import well_formed

NASTY = "</article></main></script><script>alert(1)</script><b onload=x> \" ' && {{ 7 * 7 }} \u2028 {claim}"
OPTIONS = {"number": 20, "passages": 3, "seed": 1}


@pytest.fixture
def drawn(benchmark_tables):
    keys, items = zip(
        *(draw_items(name, benchmark_tables(name), **OPTIONS) for name in ("base", "iter_1")), strict=True
    )
    return pd.concat(keys, ignore_index=True), blind(items)


@pytest.fixture
def fill(tmp_path):
    """Write a filled sheet; returns its path."""

    def fill(*lines, name="filled.csv", header="item_id,label"):
        path = tmp_path / name
        path.write_text("\n".join([header, *lines]), encoding="utf-8")
        return path

    return fill


@pytest.mark.parametrize(
    ("sizes", "number", "expected"),
    [([100, 100], 10, [5, 5]), ([900, 100], 40, [30, 10]), ([3, 1000], 50, [3, 47]), ([2, 1], 10, [2, 1]), ([], 5, [])],
)
def test_claims_are_divided_by_the_roots_of_the_strata(sizes, number, expected):
    assert allocate(sizes, number) == expected


def test_a_larger_sheet_holds_the_smaller_one(benchmark_tables):
    found = [
        set(draw_items("base", benchmark_tables("base"), **{**OPTIONS, "number": n})[1]["item_id"]) for n in (5, 20, 99)
    ]
    assert [len(each) for each in found] == [5, 20, 48]
    assert found[0] < found[1] < found[2]


def test_the_sheet_is_blind_and_the_key_is_whole(drawn):
    key, sheet = drawn
    assert len(sheet) == key["drawn"].sum() == 40
    assert len(key) == 2 * 8 * 6  # repeated claims are left out
    page = re.sub("<style>.*?</style>", "", sheet_html(sheet), flags=re.DOTALL) + sheet_csv(sheet)
    for told in ("base-", "iter_1", "supported", "irrelevant"):
        assert told not in page
    policies = key.set_index("item_id").loc[sheet["item_id"], "policy"].tolist()
    assert policies != sorted(policies)
    assert set(key[key["drawn"]]["verdict"]) == {"supported", "not_supported", "irrelevant"}


def test_the_same_seed_makes_the_same_sheet(benchmark_tables, drawn):
    tables = benchmark_tables("base")
    shuffled = {**tables, "claims": tables["claims"].sample(frac=1, random_state=0)}
    first, again = (draw_items("base", each, **OPTIONS)[1] for each in (tables, shuffled))
    assert first.equals(again)
    other = draw_items("base", tables, **{**OPTIONS, "seed": 2})[1]
    assert sheet_id(blind([first])) != sheet_id(blind([other]))


def test_claims_of_prompts_without_a_topic_are_grouped_by_prompt(benchmark_tables):
    tables = benchmark_tables("base")
    tables["prompts"]["topic"] = ""
    key, _ = draw_items("base", tables, **OPTIONS)
    assert set(key["group"]) == set(tables["prompts"]["prompt_id"])


def test_untrusted_text_stays_text(benchmark_tables):
    _, items = draw_items(
        "base", benchmark_tables("base", text=NASTY.replace("{{ 7 * 7 }}", "{{{{ 7 * 7 }}}}")), **OPTIONS
    )
    page = sheet_html(items)
    assert page.count("<script>") == page.count("</script>") == 1
    assert "<b onload" not in page
    assert "{{ 7 * 7 }}" in page
    assert well_formed(items["claim"][0]).replace("&", "&amp;").split("<")[0] in page
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="(.*?)"', page)
    (script,) = re.findall("<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not re.findall(r"""(?:src|href)=["']?(?!#)""", page.replace(script, ""))


def test_no_cell_starts_a_formula_and_all_can_be_read_back(benchmark_tables, tmp_path):
    _, items = draw_items("base", benchmark_tables("base", text='=HYPERLINK("x"),\n{claim}'), **OPTIONS)
    path = tmp_path / "sheet.csv"
    path.write_text(sheet_csv(items), encoding="utf-8")
    rows = list(read_records(path))
    assert [row["claim"] for row in rows] == ["'" + claim for claim in items["claim"]]
    assert [row["item_id"] for row in rows] == items["item_id"].tolist()
    with pytest.raises(RecordError, match=r"sheet\.csv: no label in it"):
        read_filled({"a": path}, items["item_id"])


def test_a_filled_sheet_comes_back_as_labels_and_corrects_the_policies(drawn, fill):
    key, sheet = drawn
    lines = [f"{item},{number % 4 + 1}" for number, item in enumerate(sheet["item_id"])]
    words = [line.replace(",1", ",telling").replace(",4", ",") for line in lines]
    paths = {"a": fill(*lines), "b": fill(*words, name="b.csv")}
    annotations = read_filled(paths, sheet["item_id"])
    assert annotations.groupby("reader")["label"].value_counts().to_dict() == {
        **{("a", label): 10 for label in WORDS},
        **{("b", label): 10 for label in ("telling", "trivial", "false")},
    }
    results = annotation_results(key, annotations, resamples=100)
    assert list(results["corrected"]) == ["all readers", "a", "b"]
    assert results["agreement"]["pairs"][0]["metrics"]["kappa"]["value"] == 1
    for policies in results["corrected"].values():
        assert [policy["name"] for policy in policies] == ["base", "iter_1"]
        assert not policies[0]["corrected_difference"]
        assert set(policies[1]["corrected_difference"]) == {"precision", "true", "telling", "false"}


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        (
            ["{0},1", "item-x,2"],
            "item_id,label",
            r"filled\.csv, line 3: field 'item_id' 'item-x' is no claim of the sheet",
        ),
        (["{0},1", "{0},1"], "item_id,label", r"filled\.csv, line 3: field 'item_id' .* stands in line 2 already"),
        (["{0},5"], "item_id,label", r"line 2: field 'label' must be one of telling \(1\), trivial \(2\).*, got '5'"),
        (["{0},"], "item_id,label", r"filled\.csv: no label in it"),
        (["1,{0}"], "label,item", r"line 2: field 'item_id' must be text"),
    ],
)
def test_errors_say_where_and_what(drawn, fill, lines, header, message):
    _, sheet = drawn
    path = fill(*(line.format(sheet["item_id"][0]) for line in lines), header=header)
    with pytest.raises(RecordError, match=message):
        read_filled({"a": path}, sheet["item_id"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"none\.csv: no such file of filled annotation sheets"):
        read_filled({"a": tmp_path / "none.csv"}, [])
