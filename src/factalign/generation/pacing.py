"""When requests may start."""

from __future__ import annotations

import threading
import time


class Pacer:
    """Starts requests at a steady rate, and holds all of them back when the server asks for it.

    Args:
        per_minute: Requests that may start in a minute; None for no limit.
    """

    def __init__(self, per_minute: float | None = None) -> None:
        if per_minute is not None and per_minute <= 0:
            raise ValueError(f"requests_per_minute {per_minute} is not valid: it is above 0, or null for no limit")
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for the caller's turn."""
        with self._lock:
            start = max(time.monotonic(), self._next)
            self._next = start + self._gap
        time.sleep(max(start - time.monotonic(), 0.0))

    def hold(self, seconds: float) -> None:
        """Let nobody start for `seconds`."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)
