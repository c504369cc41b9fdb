"""Reference log-probabilities, computed once and kept on disk by what they depend on.

The reference is the policy before its first step, so the same forward pass in the same layout gives both, and r is 0
when training begins; or it is a model of its own (`model.explicit_reference`). An entry is found by the model, compute
type, layout and device (together: the space), and the sequence itself; paths play no part.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from factalign.base.ids import content_hash
from factalign.fkto.rows.spans import TokenSequence


def sequence_key(sequence: TokenSequence) -> str:
    """Hash of the token ids and of where the scored part begins."""
    return hashlib.sha256(sequence.start.to_bytes(8, "little") + sequence.ids.tobytes()).hexdigest()[:32]


class ReferenceCache:
    """Log-probabilities by sequence key.

    Args:
        folder: Where to keep them; None keeps them in memory only.
        space: Names all that changes log-probabilities besides the sequence (`precompute.open_cache`).

    Attributes:
        computed: The number of sequences that were added.
    """

    def __init__(self, folder: Path | None, space: str) -> None:
        self.folder = folder / space if folder is not None else None
        self._values: dict[str, np.ndarray] = {}
        self.computed = 0
        self._hits: set[str] = set()
        if self.folder is not None and self.folder.is_dir():
            for path in sorted(self.folder.glob("*.safetensors")):
                self._values.update(load_file(path))
        self._kept = frozenset(self._values)

    @property
    def hits(self) -> int:
        """The number of sequences that were asked for and had been computed by an earlier run."""
        return len(self._hits)

    def __getitem__(self, key: str) -> np.ndarray:
        """`[scored tokens]` float32, in nats."""
        return self._values[key]

    def missing(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that are not known yet."""
        wanted = set(keys)
        self._hits |= wanted & self._kept
        return wanted - self._values.keys()

    def add(self, entries: dict[str, np.ndarray]) -> None:
        """Remember new entries, and write them to a file of their own."""
        self._values.update(entries)
        self.computed += len(entries)
        if self.folder is None or not entries:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        name = content_hash(sorted(entries))[:32]
        temporary = self.folder / f"{name}.{os.getpid()}.tmp"
        save_file(entries, temporary)
        temporary.replace(self.folder / f"{name}.safetensors")
