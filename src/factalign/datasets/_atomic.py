"""Writing under a temporary name, then renaming."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4


def temporary_sibling(path: Path) -> Path:
    """A fresh hidden name beside `path`, hence on the same filesystem; the parent folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid4().hex}.partial")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path to write a file to; it becomes `path` if the block ends well, else vanishes."""
    temporary = temporary_sibling(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class AtomicSave:
    """Put before a dataset of kedro-datasets that holds one file: its saves become all or nothing."""

    _protocol: str

    def save(self, data: Any) -> None:
        """Write the whole file or nothing."""
        # The undecorated function: Kedro decorates this one already.
        save = super().save.__wrapped__  # type: ignore[misc]
        if self._protocol != "file":
            # Object stores publish a file when its upload ends.
            save(self, data)
            return
        # A copy is redirected, since threads share this dataset.
        writer: Any = copy(self)
        with atomic_path(Path(writer._get_save_path())) as temporary:
            writer._get_save_path = lambda: PurePosixPath(temporary)
            save(writer, data)
