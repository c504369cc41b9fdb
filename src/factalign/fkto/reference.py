"""Reference log-probabilities, computed once and kept on disk by what they depend on.

The reference is the policy before its first step, so the same forward pass in the same layout gives both, and r is 0
when training begins. An entry is found by the weights, the compute type and layout (together: the space), and the
sequence itself; paths play no part.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from factalign.fkto.spans import TokenSequence


def sequence_key(sequence: TokenSequence) -> str:
    """Hash of the token ids and of where the scored part begins."""
    return hashlib.sha256(sequence.start.to_bytes(8, "little") + sequence.ids.tobytes()).hexdigest()[:32]


def space_key(*parts: str) -> str:
    """Hash of all that changes log-probabilities besides the sequence: weights, types, layout, machine kind."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


class ReferenceCache:
    """Log-probabilities by sequence key.

    Args:
        folder: Where to keep them; None keeps them in memory only.
        space: See `space_key`.
    """

    def __init__(self, folder: Path | None, space: str) -> None:
        self.folder = folder / space if folder is not None else None
        self._values: dict[str, np.ndarray] = {}
        self.hits = self.computed = 0
        if self.folder is not None and self.folder.is_dir():
            for path in sorted(self.folder.glob("*.safetensors")):
                self._values.update(load_file(path))

    def __getitem__(self, key: str) -> np.ndarray:
        """`[scored tokens]` float32, in nats."""
        return self._values[key]

    def missing(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that are not known yet."""
        wanted = set(keys)
        lacking = {key for key in wanted if key not in self._values}
        self.hits += len(wanted) - len(lacking)
        return lacking

    def add(self, entries: dict[str, np.ndarray]) -> None:
        """Remember new entries, and write them to a file of their own."""
        self._values.update(entries)
        self.computed += len(entries)
        if self.folder is None or not entries:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256("".join(sorted(entries)).encode()).hexdigest()[:32]
        temporary = self.folder / f"{name}.{os.getpid()}.tmp"
        save_file(entries, temporary)
        temporary.replace(self.folder / f"{name}.safetensors")


def batches_by_tokens(sequences: Sequence[TokenSequence], budget: int) -> list[list[int]]:
    """Group indices, longest sequences first, so that a group holds at most `budget` tokens (or one sequence)."""
    groups: list[list[int]] = []
    room = 0
    for index in sorted(range(len(sequences)), key=lambda i: -len(sequences[i])):
        if not groups or len(sequences[index]) > room:
            groups.append([])
            room = budget
        groups[-1].append(index)
        room -= len(sequences[index])
    return groups
