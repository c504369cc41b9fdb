"""Records of files that a user gives: JSON lines, CSV, Parquet. Every error names path, line and field in one way."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factalign.base.text import well_formed

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".jsonl", ".csv", ".parquet")


class RecordError(ValueError):
    """A file or a record that is not what it should be; the message says where, what, and what would be valid."""


class Record(dict[str, Any]):
    """The fields of one record, which knows where it stands.

    Attributes:
        where: "path, line 3", for messages.
        line: Its line, or its row in a table, from 1.
    """

    def __init__(self, fields: Mapping[str, Any], where: str, line: int = 0) -> None:
        super().__init__(fields)
        self.where, self.line = where, line

    def error(self, field: str, problem: str) -> RecordError:
        """The error to raise: "path, line 3: field 'x' must be …"."""
        return RecordError(f"{self.where}: field {field!r} {problem}")

    def has(self, field: str) -> bool:
        """Whether the field is there and not null (None, NaN, NA)."""
        return not is_null(self.get(field))

    def text(self, field: str, default: str | None = None, *, note: str = "") -> str:
        """A text field, well-formed; where it is missing or null `default`, and without that it must not be blank.

        Raises:
            RecordError: It is not text.
        """
        value = self[field] if self.has(field) else default
        if not isinstance(value, str) or (default is None and not value.strip()):
            wanted = "text that is not empty" if default is None else "text"
            raise self.error(field, f"{note}must be {wanted}, got {self.get(field)!r:.200}")
        return well_formed(value)

    def only(self, valid: Iterable[str]) -> None:
        """Refuse fields that are not among `valid`.

        Raises:
            RecordError: There is one.
        """
        if unknown := sorted(map(str, self.keys() - set(valid))):
            raise RecordError(f"{self.where}: unknown field {unknown[0]!r}; valid: {', '.join(valid)}")


def read_records(path: str | Path, what: str = "records") -> Iterator[Record]:
    """The records of a `.jsonl`, `.csv` or `.parquet` file, in order; blank lines are passed over.

    In CSV every field is text; in Parquet nulls are left out, and nested values are lists
    and dicts.

    Args:
        path: The file.
        what: What it should hold, for messages.

    Raises:
        RecordError: No such file, an unknown format, or a file that is malformed.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise RecordError(f"{path}: unknown format {path.suffix!r}; valid: {', '.join(FORMATS)}")
    readers = {".jsonl": json_objects, ".csv": _csv_records, ".parquet": _parquet_records}
    return readers[path.suffix](path, what)


def json_objects(path: str | Path, what: str = "records") -> Iterator[Record]:
    """The objects of a JSON-lines file, whatever its name; blank lines are passed over.

    Raises:
        RecordError: No such file, or a line is not UTF-8, not JSON or not an object.
    """
    for number, line in enumerate(text_lines(path, what), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise RecordError(f"{where}: not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise RecordError(f"{where}: must be a JSON object, got {type(fields).__name__}")
        yield Record(fields, where, number)


def text_lines(path: str | Path, what: str = "text") -> Iterator[str]:
    """The lines of a text file, with their ends and without a byte order mark.

    Raises:
        RecordError: No such file, or a line is not UTF-8.
    """
    # A pipe will do as well as a file.
    if not Path(path).exists() or Path(path).is_dir():
        raise RecordError(f"{path}: no such file of {what}")
    # Strict decoding works by blocks, so its error would not know the line.
    with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.encode("utf-8")
            except UnicodeEncodeError as error:
                byte = ord(line[error.start]) - 0xDC00
                raise RecordError(f"{path}, line {number}: not text in UTF-8: byte {byte:#04x}") from error
            yield line


def rows_of(rows: pd.DataFrame | Iterable[Any], name: str) -> Iterator[Record]:
    """The rows of a table, or dicts, as records of something called `name`.

    Raises:
        RecordError: A row is not a dict.
    """
    columns = getattr(rows, "columns", None)
    for number, row in enumerate(rows if columns is None else rows.to_dict("records"), start=1):  # type: ignore[union-attr]
        where = f"{name}, row {number}"
        if not isinstance(row, Mapping):
            raise RecordError(f"{where}: must be a dict, got {type(row).__name__}")
        yield Record(row, where, number)


def read_messages(value: Any, wrong: Any) -> list[dict[str, str]]:
    """A conversation: messages with `role` and `content`, well-formed, without other keys.

    Args:
        value: A list (or array) of messages.
        wrong: Makes the error to raise of what is wrong, such as a `Record.error` for a field.

    Raises:
        RecordError: It is not; what `wrong` made.
    """
    messages = list(value) if isinstance(value, Iterable) and not isinstance(value, str | Mapping) else []
    if not messages:
        raise wrong(f"must be text or a list of messages with role and content, got {value!r:.200}")
    for number, message in enumerate(messages):
        keys = ("role", "content")
        if not isinstance(message, Mapping) or not all(isinstance(message.get(key), str) for key in keys):
            raise wrong(f"must be text or a list of messages with role and content, [{number}] is {message!r:.200}")
    return [{"role": message["role"], "content": well_formed(message["content"])} for message in messages]


def is_null(value: Any) -> bool:
    """Whether a table or JSON would call this value missing: None, NaN or NA, but no list or array."""
    # pandas' NA is unequal to itself, too, and cannot be asked whether it is true.
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def plain(value: Any) -> Any:
    """A nested value of a Parquet column as lists and dicts; keys that a struct's writer left out are missing again."""
    if type(value).__name__ == "ndarray":
        return [plain(item) for item in value.tolist()]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    return value


def _csv_records(path: Path, what: str) -> Iterator[Record]:
    reader = csv.DictReader(text_lines(path, what), strict=True)
    try:
        for fields in reader:
            where = f"{path}, line {reader.line_num}"
            if None in fields:
                raise RecordError(f"{where}: more cells than the header has fields")
            yield Record({key: value for key, value in fields.items() if value is not None}, where, reader.line_num)
    except csv.Error as error:
        # DictReader's own count stops at the last good record.
        raise RecordError(f"{path}, line {reader.reader.line_num}: not readable as CSV: {error}") from error


def _parquet_records(path: Path, what: str) -> Iterator[Record]:
    import pandas as pd

    if not path.is_file():
        raise RecordError(f"{path}: no such file of {what}")
    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise RecordError(f"{path}: not a readable Parquet file: {error}") from error
    for number, row in enumerate(table.to_dict("records"), start=1):
        fields = {str(key): plain(value) for key, value in row.items() if not is_null(value)}
        yield Record(fields, f"{path}, row {number}", number)
