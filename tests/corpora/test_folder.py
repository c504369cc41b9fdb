import pytest

from factalign.corpora import read_passages, topics
from factalign.corpora.splitting import split_text

MARKDOWN = """\ufeffBefore any heading.

# **Ada `Lovelace`** #

Ada Lovelace was a mathematician.

## Life
### Early years

Born in 1815.

```python
# a comment, no heading
```

## Work

#hashtag, no heading either
"""


def read(name, **options):
    return read_passages({"name": name, "options": options})


def write(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(root)


def test_headings_become_title_and_field(tmp_path):
    passages = read("folder", path=write(tmp_path, a_md=MARKDOWN))
    assert passages[["title", "field", "text"]].values.tolist() == [
        ["Ada Lovelace", "", "Ada Lovelace. Before any heading."],
        ["Ada Lovelace", "", "Ada Lovelace was a mathematician."],
        [
            "Ada Lovelace",
            "Life – Early years",
            "Ada Lovelace. Life – Early years: Born in 1815. ```python # a comment, no heading ```",
        ],
        ["Ada Lovelace", "Work", "Ada Lovelace. Work: #hashtag, no heading either"],
    ]
    assert topics(passages) == ["Ada Lovelace"]


def test_text_files_are_named_after_themselves_and_hidden_or_other_files_left_out(tmp_path):
    files = {"deep__Marie Curie_txt": "She won twice.", "b_pdf": "%PDF", "_git__c_md": "# x\ny", "empty_md": ""}
    passages = read("table", path=write(tmp_path, **files, copy_md="# Marie Curie\n\nShe won  twice."))
    assert passages[["title", "text"]].values.tolist() == [["Marie Curie", "Marie Curie. She won twice."]]


def test_long_documents_are_cut_at_paragraphs_then_sentences(tmp_path):
    short = " ".join(f"s{i}" for i in range(30)) + "."
    long = " ".join(f"Sentence {i} has six words here." for i in range(20))
    path = write(tmp_path, doc_txt=f"{short}\r\n\r\n{short}\n \n{long}\n\n{short}")
    passages = read("folder", path=path, max_words=60)
    pieces = [text.removeprefix("doc. ") for text in passages["text"]]
    assert pieces[0] == f"{short} {short}"
    assert pieces[-1] == short
    assert " ".join(pieces) == f"{short} {short} {long} {short}"
    assert all(piece.endswith(".") for piece in pieces)
    assert max(len(piece.split()) for piece in pieces) <= 60


def test_tables_of_documents_are_split_on_demand(tmp_path):
    (tmp_path / "wiki.csv").write_text(
        "title,text,passage_id\nRome,Rome is old. It has seven hills. It lies on the Tiber.,r\nOslo,Oslo is new.,o\n"
    )
    whole = read("table", path=str(tmp_path / "wiki.csv"))
    assert whole["passage_id"].tolist() == ["r", "o"]
    split = read("table", path=str(tmp_path / "wiki.csv"), max_words=7)
    assert split[["passage_id", "text"]].values.tolist() == [
        ["r-0", "Rome is old. It has seven hills."],
        ["r-1", "Rome. It lies on the Tiber."],
        ["o", "Oslo is new."],
    ]


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        read("folder", path=str(tmp_path / "absent"))
    with pytest.raises(ValueError, match=r"no file with one of the endings \.txt, \.md"):
        read("folder", path=str(tmp_path))
    with pytest.raises(ValueError, match="no text in its 1 files"):
        read("folder", path=write(tmp_path / "blank", a_md="# only\n\n## headings\n"))
    with pytest.raises(ValueError, match=r"bad\.txt, line 2: not text in UTF-8: byte 0xe4"):
        read("folder", path=write(tmp_path / "latin", bad_txt="one\nM\u00e4rz".encode("latin-1")))
    with pytest.raises(ValueError, match="max_words must be at least 1"):
        split_text("a b", 0)


def test_no_corpus_at_all():
    assert read_passages("none").empty
