"""Characters of untrusted text that nothing takes or nobody sees: lone surrogates, controls, joiners, tags."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
# Controls, soft hyphens, direction marks, joiners, line and paragraph separators, byte order marks, tags.
_HIDDEN = "\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f"


def well_formed(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD, one character for one, so that offsets stay.

    Tokenizers, Parquet and UTF-8 take no surrogates; JSON can hold them.
    """
    return _SURROGATE.sub("\ufffd", text)


def hidden_characters() -> str:
    """What cannot be seen, as the inside of a regular expression's character class."""
    return _HIDDEN
