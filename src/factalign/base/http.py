"""JSON over HTTP, patiently: retries with growing pauses, `Retry-After`, a limit on the whole answer, no redirects."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any, TypeVar
from urllib import request
from urllib.error import HTTPError

T = TypeVar("T")

_WORTH_RETRYING = {408, 409, 429, 500, 502, 503, 504}
_LONGEST_PAUSE_S = 60.0
_LARGEST_REPLY = 32 << 20


class FetchError(RuntimeError):
    """A server gave no usable answer; the message names its address and what it said last."""


class _NoRedirect(request.HTTPRedirectHandler):
    """A redirect would carry an API key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


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


_OPENER = request.build_opener(_NoRedirect)


def fetch(
    asked: request.Request,
    parse: Callable[[Any], T],
    *,
    timeout: float = 20.0,
    attempts: int = 4,
    pause: float = 1.0,
    secret: str = "",
    pacer: Pacer | None = None,
) -> T:
    """What `parse` makes of the JSON that answers a request.

    Args:
        asked: The request.
        parse: Takes the decoded JSON; a ValueError means that it is not what was expected.
        timeout: Seconds after which a try without a whole answer is given up.
        attempts: Tries, with growing pauses (or the server's `Retry-After`, at most a minute) between them.
        pause: Seconds before the second try.
        secret: Text that is taken out of the answers, should the server repeat it, so that no message has it.
        pacer: Says when a try may start; a server that answers 429 holds back all requests that share it.

    Raises:
        FetchError: The server refused the request, or no try had a usable answer.
    """
    address = asked.full_url.partition("?")[0]
    problem = ""
    pacer = pacer or Pacer()
    for attempt in range(1, attempts + 1):
        wait = pause * 2 ** (attempt - 1)
        pacer.wait()
        try:
            deadline = time.monotonic() + timeout
            with _OPENER.open(asked, timeout=timeout) as reply:
                return parse(_decode(_hide(_read(reply, deadline), secret)))
        except HTTPError as error:
            problem = f"HTTP status {error.code}: {_excerpt(error, secret)}"
            if error.code not in _WORTH_RETRYING:
                raise FetchError(f"{address} refused a request with {problem}") from None
            wait = _retry_after(error, wait)
            if error.code == 429:
                pacer.hold(min(wait, _LONGEST_PAUSE_S))
        except (OSError, HTTPException, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if attempt < attempts:
            time.sleep(min(wait, _LONGEST_PAUSE_S))
    raise FetchError(f"{address} gave no usable answer in {attempts} tries; the last: {problem}")


def check_url(url: str) -> str:
    """`url`, if it is an HTTP address.

    Raises:
        ValueError: It is not.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"url {url!r} is not valid: it begins with http:// or https://")
    return url


def _read(reply: HTTPResponse, deadline: float) -> bytes:
    """The whole reply, unless it drips in past `deadline` or does not end."""
    parts, size = [], 0
    while part := reply.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if time.monotonic() > deadline:
            raise TimeoutError("the answer came too slowly")
        if size > _LARGEST_REPLY:
            raise ValueError(f"the answer is longer than {_LARGEST_REPLY} bytes")
    if reply.length:  # `read1` does not complain of a connection that closed early
        raise IncompleteRead(b"".join(parts), reply.length)
    return b"".join(parts)


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        excerpt = body[:200].decode("utf-8", "replace")
        raise ValueError(f"the answer is not JSON ({error}): {excerpt}") from None


def _excerpt(error: HTTPError, secret: str) -> str:
    try:
        return _hide(error.read(1 << 16), secret).decode("utf-8", "replace")[:500]
    except (OSError, HTTPException) as unread:
        return f"(its body cannot be read: {unread})"


def _retry_after(error: HTTPError, default: float) -> float:
    try:
        seconds = float(error.headers.get("Retry-After", default))
    except ValueError:
        return default
    return seconds if seconds >= 0 else default


def _hide(body: bytes, secret: str) -> bytes:
    return body.replace(secret.encode(), b"***") if secret else body
