"""Ids that are hashes of content: the same thing gets the same id in every run."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def content_id(prefix: str, *parts: Any) -> str:
    """`prefix-` and 16 hex digits of a SHA-256 over `parts` (anything that JSON can hold)."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"{prefix}-{hashlib.sha256(canonical.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def derive_seed(seed: int, *parts: Any) -> int:
    """A seed below 2**31 for one part of a run: independent of the others, the same in every rerun."""
    return int(content_id("seed", seed, *parts)[-8:], 16) % 2**31
