"""Answers on disk, found again by what was asked."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)
_WAIT_S = 30.0
_APPLICATION = 0x46414C4E  # marks the file as ours
_PER_QUERY = 500


class CacheError(ValueError):
    """The file is not a cache, is damaged, or stays locked; the message names it and says what to do."""


class AnswerCache:
    """JSON values by key in an SQLite file (write-ahead log): threads and processes may share it.

    Args:
        path: The file, made where it is missing; None keeps the answers in memory, for this object alone.

    Raises:
        CacheError: The file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path or ":memory:", timeout=_WAIT_S, check_same_thread=False)
            self._set_up()
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from error

    def _set_up(self) -> None:
        owner = self._db.execute("PRAGMA application_id").fetchone()[0]
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}
        if owner != _APPLICATION and tables:
            raise sqlite3.DatabaseError(f"a database of something else, with the tables {sorted(tables)}")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        if owner != _APPLICATION:
            self._db.execute(f"PRAGMA application_id={_APPLICATION}")
        with self._db:
            self._db.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT NOT NULL)")

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those keys that are known.

        Raises:
            CacheError: The file is damaged or stays locked.
        """
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Any] = {}
        try:
            with self._lock:
                for start in range(0, len(wanted), _PER_QUERY):
                    some = wanted[start : start + _PER_QUERY]
                    query = f"SELECT key, value FROM answers WHERE key IN ({','.join('?' * len(some))})"
                    found.update((key, json.loads(value)) for key, value in self._db.execute(query, some))
        except (sqlite3.Error, ValueError) as error:
            raise self._error(error) from error
        return found

    def put(self, values: Mapping[str, Any]) -> None:
        """Keep `values`. Where the disk fails, the run goes on without: what was paid for is not thrown away."""
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        try:
            with self._lock, self._db:
                self._db.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            logger.warning("%d answers are not kept for the next run: %s", len(rows), self._error(error))

    def _error(self, error: Exception) -> CacheError:
        if "locked" in str(error):
            advice = f"another process has kept it locked for {_WAIT_S:g} s; end that one, or name another file"
        else:
            advice = "name another file, or move this one away: its answers are then asked for, and paid for, again"
        return CacheError(f"answer cache {self._path}: {error}: {advice}")
