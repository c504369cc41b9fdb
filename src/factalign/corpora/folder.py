"""A folder of text and Markdown files as passages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from factalign.base.ids import content_id
from factalign.base.records import text_lines
from factalign.base.text.markdown import FENCE, HEADING, without_emphasis
from factalign.corpora.general import GENERAL_AIDS, GENERAL_PROMPTS
from factalign.corpora.protocol import PromptTemplates, ReadingAids
from factalign.corpora.splitting import MAX_WORDS, named_pieces

SUFFIXES = (".txt", ".md", ".markdown")


@dataclass(frozen=True)
class FolderCorpus:
    """Passages "{title}. {headings}: text" of the files below a folder; hidden ones are passed over.

    The title is the first heading of a Markdown file, else the name of the file; `field` is the path of headings below
    it. What two files say in the same words under the same headings is one passage.

    Args:
        path: Folder with `.txt`, `.md` or `.markdown` files, in UTF-8.
        max_words: Longer sections are cut at the ends of paragraphs or sentences.
    """

    prompts: ClassVar[PromptTemplates] = GENERAL_PROMPTS
    aids: ClassVar[ReadingAids] = GENERAL_AIDS

    path: str
    max_words: int = MAX_WORDS

    def passages(self) -> pd.DataFrame:
        """See `Corpus.passages`.

        Raises:
            ValueError: No such folder, no such file in it, no text in them, or a file that is not UTF-8 (the message
                names path and line).
        """
        files = _files(Path(self.path))
        rows: dict[str, dict[str, str]] = {}
        for file in files:
            is_markdown = file.suffix.lower() != ".txt"
            title, sections = _sections(text_lines(file), is_markdown)
            title = title or file.stem
            for field, text in sections:
                for piece in named_pieces(title, field, text, self.max_words):
                    passage_id = content_id("passage", title, field, piece)
                    rows[passage_id] = {"passage_id": passage_id, "title": title, "field": field, "text": piece}
        if not rows:
            raise ValueError(f"{self.path}: no text in its {len(files)} files")
        return pd.DataFrame(list(rows.values())).assign(aliases="[]", facts="[]")


def _files(root: Path) -> list[Path]:
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    files = [file for file in sorted(root.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file()]
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(root).parts)]
    if not files:
        raise ValueError(f"{root}: no file with one of the endings {', '.join(SUFFIXES)}")
    return files


def _sections(lines: Iterable[str], is_markdown: bool) -> tuple[str, list[tuple[str, str]]]:
    """The first heading ("" if there is none), and the headings above each stretch of text with it."""
    title, headings = "", dict[int, str]()
    sections: list[tuple[str, str]] = []
    current: list[str] = []
    for level, text in _headings(lines) if is_markdown else ((0, line) for line in lines):
        if not level:
            current.append(text)
            continue
        sections.append((" – ".join(headings.values()), "".join(current)))
        current = []
        if title:
            headings = {upper: name for upper, name in headings.items() if upper < level} | {level: text}
        else:
            title = text
    sections.append((" – ".join(headings.values()), "".join(current)))
    return title, [(field, text) for field, text in sections if text.strip()]


def _headings(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Each line with its level as a heading, 0 for text; a `#` in a block of code is no heading."""
    fence = ""
    for line in lines:
        mark = FENCE.match(line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        heading = None if fence else HEADING.match(line)
        name = without_emphasis(heading[2]) if heading else ""
        yield (len(heading[1]), name) if heading and name else (0, line)
