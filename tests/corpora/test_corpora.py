import json
import sys

import pandas as pd
import pytest

from factalign.corpora import CORPORA, GENERAL_AIDS, Fact, Item, facts_from_json, facts_to_json, read_passages, topics
from factalign.corpora.factbook.wording import AIDS, PROMPTS
from factalign.schemas import Passages, empty


def read(name, **options):
    return read_passages({"name": name, "options": options})


def write(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def test_json_lines_csv_and_parquet_give_the_same_passages(tmp_path):
    rows = [{"title": "007", "text": "A spy.", "field": "job"}, {"title": "Ghana 🎉", "text": "Accra, the capital"}]
    lines = read("table", path=write(tmp_path / "a.jsonl", *rows))
    frame = pd.DataFrame(rows).fillna("")
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for suffix in ("csv", "parquet"):
        pd.testing.assert_frame_equal(lines, read("table", path=str(tmp_path / f"a.{suffix}")))
    assert lines["title"].tolist() == ["007", "Ghana 🎉"]
    assert topics(lines) == ["007", "Ghana 🎉"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no passages"),
        (["{"], "line 1: not JSON"),
        (["[]"], "line 1: must be a JSON object"),
        ([{"title": "a", "text": "b"}, {"title": "a"}], "line 2: field 'text'"),
        ([{"title": " ", "text": "b"}], "line 1: field 'title'"),
        ([{"title": "a", "text": 3}], "line 1: field 'text'"),
        ([{"title": "a", "text": "b", "url": "c"}], "unknown field 'url'"),
        ([{"title": "a", "text": "b", "aliases": "c"}], "field 'aliases'"),
        ([{"title": "a", "text": "b", "facts": [{"cues": 1}]}], "field 'facts'"),
        ([{"title": "a", "text": "b"}] * 2, "line 2: passage_id"),
        (
            [{"title": "a", "text": t, "passage_id": "x"} for t in "bc"],
            "line 2: passage_id 'x' was in .*, line 1",
        ),
    ],
)
def test_malformed_files_name_path_line_and_field(tmp_path, rows, message):
    path = write(tmp_path / "bad.jsonl", *rows)
    with pytest.raises(ValueError, match=message) as error:
        read("table", path=path)
    assert path in str(error.value)


def test_unknown_names_formats_and_options(tmp_path):
    with pytest.raises(ValueError, match="valid names: factbook, folder, none, table"):
        read_passages("wikipedia")
    with pytest.raises(ValueError, match="does not accept"):
        read("table", file="x")
    with pytest.raises(ValueError, match="no such file"):
        read("table", path=str(tmp_path / "none.jsonl"))
    (tmp_path / "a.xml").touch()
    with pytest.raises(ValueError, match=r"unknown format '\.xml'"):
        read("table", path=str(tmp_path / "a.xml"))
    (tmp_path / "a.parquet").write_text("no parquet")
    with pytest.raises(ValueError, match="not a readable Parquet"):
        read("table", path=str(tmp_path / "a.parquet"))


def test_text_that_is_not_utf8_names_the_line(tmp_path):
    files = {"jsonl": b'{"title": "a", "text": "b"}\n', "csv": b"title,text\r\na,b\r\n"}
    for suffix, good in files.items():
        path = tmp_path / f"latin.{suffix}"
        path.write_bytes(good + "M\u00e4rz,x\n".encode("latin-1"))
        line = good.count(b"\n") + 1
        with pytest.raises(ValueError, match=rf"latin\.{suffix}, line {line}: .*UTF-8: byte 0xe4"):
            read("table", path=str(path))


def test_a_csv_cell_that_is_too_long_names_the_line(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(f"title,text\na,b\nc,{'d' * 131_073}\n")
    with pytest.raises(ValueError, match=r"long\.csv, line 3: .*field larger"):
        read("table", path=str(path))


def test_parquet_columns_may_be_nested(tmp_path):
    facts = [{"relation": "border", "items": [{"names": ["Togo"], "bearing": 90.0}, {"names": ["Mali", "ML"]}]}]
    rows = [
        {"title": "a", "text": "b", "aliases": ["c", "d"], "facts": facts},
        {"title": "e", "text": "f", "aliases": None, "facts": None, "field": None},
    ]
    path = tmp_path / "nested.parquet"
    pd.DataFrame(rows).to_parquet(path)
    nested = read("table", path=str(path))
    assert nested["aliases"].tolist() == ['["c", "d"]', "[]"]
    assert facts_from_json(nested["facts"][0])[0].items == (Item(("Togo",), 90.0), Item(("Mali", "ML")))
    lines = [{key: value for key, value in row.items() if value is not None} for row in rows]
    pd.testing.assert_frame_equal(nested, read("table", path=write(tmp_path / "nested.jsonl", *lines)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": [3]}, "row 1: field 'text' must be text that is not empty, got 3"),
        ({"text": [None]}, "row 1: field 'text'.*got None"),
        ({"text": ["b"], "passage_id": [7]}, "field 'passage_id' must be text, got 7"),
        ({"text": ["b"], "aliases": [[1, 2]]}, r"field 'aliases' must be a list of names, got \[1, 2\]"),
        ({"text": ["b"], "facts": [[pd.Timestamp(0)]]}, "field 'facts'"),
        ({"text": ["b"], "url": [1.5]}, "unknown field 'url'"),
    ],
)
def test_malformed_parquet_values_are_reported(tmp_path, columns, message):
    path = tmp_path / "bad.parquet"
    pd.DataFrame({"title": ["a"], **columns}).to_parquet(path)
    with pytest.raises(ValueError, match=message):
        read("table", path=str(path))


def test_facts_survive_the_column():
    facts = (
        Fact("borders", ("border",), (Item(("Togo",), 90.0), Item(("Blue Sea",), holds=False)), complete=True),
        Fact("population", ("people",), quantity=2.5e6),
        Fact("topic"),
    )
    assert facts_from_json(facts_to_json(facts)) == facts
    assert facts_from_json("") == ()
    for bad in ("{", "3", '[{"relation": "x", "colour": 1}]', '[{"relation": "x", "items": [{}]}]'):
        with pytest.raises(ValueError, match="facts"):
            facts_from_json(bad)


def test_a_byte_order_mark_belongs_to_no_field(tmp_path):
    (tmp_path / "excel.csv").write_bytes(b"\xef\xbb\xbftitle,text\r\nRome,A city.\r\n")
    (tmp_path / "notepad.jsonl").write_bytes(b'\xef\xbb\xbf{"title": "Rome", "text": "A city."}\r\n')
    table = read("table", path=str(tmp_path / "excel.csv"))
    assert table[["title", "text"]].values.tolist() == [["Rome", "A city."]]
    pd.testing.assert_frame_equal(table, read("table", path=str(tmp_path / "notepad.jsonl")))


OWN = """
import pandas as pd
from factalign.corpora import GENERAL_AIDS, GENERAL_PROMPTS

class Recipes:
    prompts, aids = GENERAL_PROMPTS, GENERAL_AIDS

    def __init__(self, ids):
        self.ids = ids

    def passages(self):
        table = pd.DataFrame({"passage_id": self.ids, "title": "Soup", "text": "Boil water."})
        return table.assign(field="", aliases="[]", facts="[]")

def table(ids):
    return Recipes(ids).passages()
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_corpus.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name, ids: {"name": f"own_corpus:{name}", "options": {"ids": ids}}
    sys.modules.pop("own_corpus", None)


def test_a_corpus_of_ones_own(own):
    assert read_passages(own("Recipes", ["a", "b"]))["passage_id"].tolist() == ["a", "b"]
    built = CORPORA.build(own("Recipes", ["a"]))
    assert read_passages(built)["title"].tolist() == ["Soup"]
    with pytest.raises(ValueError, match=r"own_corpus:Recipes.*no passages"):
        read_passages(own("Recipes", []))
    with pytest.raises(ValueError, match=r"own_corpus:Recipes.*passage_id 'a' occurs more than once"):
        read_passages(own("Recipes", ["a", "a"]))
    with pytest.raises(ValueError, match=r"own_corpus:table.*a corpus has passages\(\), prompts and aids"):
        read_passages(own("table", ["a"]))


def test_building_a_corpus_reads_nothing_and_tells_how_to_speak_of_it():
    factbook = CORPORA.build({"name": "factbook", "options": {"data_dir": "nowhere"}})
    assert (factbook.prompts, factbook.aids) == (PROMPTS, AIDS)
    for name in ("table", "folder"):
        assert CORPORA.build({"name": name, "options": {"path": "nowhere"}}).aids == GENERAL_AIDS
    pd.testing.assert_frame_equal(CORPORA.build("none").passages(), empty(Passages))
