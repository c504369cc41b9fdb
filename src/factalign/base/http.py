"""JSON over HTTP, patiently: retries with growing pauses, `Retry-After`, a limit on the whole answer, no redirects."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError

T = TypeVar("T")

_WORTH_RETRYING = {408, 409, 429, 500, 502, 503, 504}
_LONGEST_PAUSE_S = 60.0
_LARGEST_REPLY = 32 << 20
_OPEN_CONNECTIONS = 256  # kept for the next requests, of each server


class FetchError(RuntimeError):
    """A server gave no usable answer; the message names its address and what it said last."""


class Request(NamedTuple):
    """What is sent to a server."""

    method: str
    url: str
    body: bytes | None = None
    headers: Mapping[str, str] | None = None


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


def fetch(
    asked: Request,
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
    # Not urllib3's `Retry`: it knows neither an answer that drips in nor one that `parse` refuses, throws away what the
    # server said with a status, sleeps without telling the other threads, and does not pause before the second try.
    address = asked.url.partition("?")[0]
    problem = ""
    pacer = pacer or Pacer()
    for attempt in range(1, attempts + 1):
        wait = pause * 2 ** (attempt - 1)
        pacer.wait()
        try:
            deadline = time.monotonic() + timeout
            with closing(_send(asked, timeout)) as reply:
                if 200 <= reply.status < 300:
                    return parse(_decode(_hide(_read(reply, deadline), secret)))
                problem = f"HTTP status {reply.status}: {_excerpt(reply, deadline, secret)}"
            if reply.status not in _WORTH_RETRYING:
                raise FetchError(f"{address} refused a request with {problem}")
            wait = _retry_after(reply, wait)
            if reply.status == 429:
                pacer.hold(min(wait, _LONGEST_PAUSE_S))
        except (HTTPError, OSError, ValueError) as error:
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


def api_key(variable: str) -> str:
    """The key in an environment variable without the space around it, "" where there is none.

    Raises:
        ValueError: It cannot stand in a header; the message names the variable and does not repeat the key.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"the API key in the environment variable {variable} has characters that no header can hold")
    return key


def _send(asked: Request, timeout: float) -> urllib3.BaseHTTPResponse:
    """The beginning of the answer. No redirect is followed: it would carry an API key to another host."""
    return _connections(_proxy(asked.url)).request(
        asked.method,
        asked.url,
        body=asked.body,
        headers=asked.headers,
        timeout=timeout,
        retries=False,
        redirect=False,
        preload_content=False,
    )


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for `url` (`HTTPS_PROXY`, `NO_PROXY` and their like)."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


@cache
def _connections(proxy: str | None) -> urllib3.PoolManager:
    """Connections to all servers behind `proxy`, kept open between requests."""
    if proxy is None:
        return urllib3.PoolManager(maxsize=_OPEN_CONNECTIONS)
    user = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=unquote(user)) if user else None
    return urllib3.ProxyManager(proxy, maxsize=_OPEN_CONNECTIONS, proxy_headers=headers)


def _read(reply: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """The whole reply, unless it drips in past `deadline` or does not end."""
    parts, size = [], 0
    while part := reply.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if time.monotonic() > deadline:
            raise TimeoutError("the answer came too slowly")
        if size > _LARGEST_REPLY:
            raise ValueError(f"the answer is longer than {_LARGEST_REPLY} bytes")
    return b"".join(parts)


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        excerpt = body[:200].decode("utf-8", "replace")
        raise ValueError(f"the answer is not JSON ({error}): {excerpt}") from None


def _excerpt(reply: urllib3.BaseHTTPResponse, deadline: float, secret: str) -> str:
    try:
        return _hide(_read(reply, deadline), secret).decode("utf-8", "replace")[:500]
    except (HTTPError, OSError, ValueError) as unread:
        return f"(its body cannot be read: {unread})"


def _retry_after(reply: urllib3.BaseHTTPResponse, default: float) -> float:
    try:
        seconds = float(reply.headers.get("Retry-After", default))
    except ValueError:
        return default
    return seconds if seconds >= 0 else default


def _hide(body: bytes, secret: str) -> bytes:
    return body.replace(secret.encode(), b"***") if secret else body
