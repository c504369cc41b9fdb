"""What a reader may say of a claim, and which verdict says the same."""

from __future__ import annotations

from factalign.schemas import READER_LABELS

KEYS = dict(zip("1234", READER_LABELS, strict=True))
WORDS = {
    "telling": "true and telling",
    "trivial": "true but trivial",
    "false": "false",
    "nothing": "nothing to check, or cannot tell",
}
AS_VERDICT = {
    "telling": "supported",
    "trivial": "supported",
    "false": "not_supported",
    "nothing": "irrelevant",
}
