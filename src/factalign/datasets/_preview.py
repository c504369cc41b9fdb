"""What previews share."""

from __future__ import annotations

import json
from typing import Any


def cell(value: Any) -> Any:
    """A table cell for Kedro-Viz, which shows no nested values: those become JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
