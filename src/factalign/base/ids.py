"""Ids that are hashes of content: the same thing gets the same id in every run."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def content_hash(*parts: Any) -> str:
    """SHA-256 (64 hex digits) over `parts` (anything that JSON can hold)."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def content_id(prefix: str, *parts: Any) -> str:
    """`prefix-` and the first 16 digits of `content_hash(*parts)`."""
    return f"{prefix}-{content_hash(*parts)[:16]}"


def derive_seed(seed: int, *parts: Any) -> int:
    """A seed below 2**31 for one part of a run: independent of the others, the same in every rerun."""
    return int(content_hash(seed, *parts)[8:16], 16) % 2**31
