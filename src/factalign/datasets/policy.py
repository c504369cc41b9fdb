"""Policy handles that stay true when the project's folder is moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from factalign.datasets.files import JSONDataset

_INSIDE = "./"  # no name on the hub begins with a dot


class PolicyDataset(JSONDataset):
    """A `policies.PolicyHandle` as JSON, in which folders inside `root` are written relative to it.

    On disk such a folder begins with `./`; names on the hub and folders elsewhere are written as they are. Loading
    gives whole paths again, below wherever `root` is by then.

    Example:
        ```yaml
        base.policy:
          type: factalign.datasets.PolicyDataset
          filepath: data/06_models/base/policy.json
          root: ${project_path:.}
          versioned: true
        ```
    """

    def __init__(self, *, root: str, **options: Any) -> None:
        self._root = Path(root).absolute()
        super().__init__(**options)

    def load(self) -> dict[str, Any]:
        """The handle."""
        return _renamed(super().load.__wrapped__(self), self._found)

    def save(self, data: Mapping[str, Any]) -> None:
        """Write the whole handle or nothing."""
        super().save.__wrapped__(self, _renamed(data, self._written))  # type: ignore[attr-defined]

    def _written(self, name: str) -> str:
        # One part or two may be a name on the hub: it is a folder if there is one, as `policies.make_handle` has it.
        folder = Path(name).absolute()
        is_folder = Path(name).is_absolute() or folder.is_dir()
        return f"{_INSIDE}{folder.relative_to(self._root)}" if is_folder and folder.is_relative_to(self._root) else name

    def _found(self, name: str) -> str:
        return str(self._root / name) if name.startswith(_INSIDE) else name


def _renamed(handle: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    return {**handle, "model": rename(handle["model"]), "adapters": [rename(name) for name in handle["adapters"]]}
