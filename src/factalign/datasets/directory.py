"""Folders as artifacts: models, adapters, indexes."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractVersionedDataset, DatasetError, Version

from factalign.datasets._atomic import temporary_sibling

_SENTINEL = ".complete"


def _is_complete(path: str) -> bool:
    return (Path(path) / _SENTINEL).is_file()


class DirectoryDataset(AbstractVersionedDataset[str | Path, str]):
    """A folder on the local filesystem, published as a whole.

    Saving takes the path of a finished staging folder and *moves* it into place under one rename, a sentinel
    file inside; a folder without the sentinel does not exist for the catalog. Where one folder replaces another, the
    old one waits under a hidden name, and comes back if the save is killed in between. Loading gives the path of the
    published folder.

    Example:
        ```yaml
        policy_model:
          type: factalign.datasets.DirectoryDataset
          filepath: data/06_models/policy
          versioned: true
        ```
    """

    def __init__(
        self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self.metadata = metadata
        super().__init__(filepath=PurePosixPath(filepath), version=version, exists_function=_is_complete)

    def load(self) -> str:
        """Path of the published folder."""
        path = Path(self._get_load_path())
        _put_back(path)
        if not _is_complete(str(path)):
            raise DatasetError(f"{path} is missing or incomplete (it has no {_SENTINEL}): run the node that makes it")
        return str(path)

    def save(self, data: str | Path) -> None:
        """Move the folder `data` into place; an earlier one there is replaced."""
        staging, target = Path(data), Path(self._get_save_path())
        if not staging.is_dir():
            raise DatasetError(f"there is no folder {staging} to publish as {target}")
        if target.resolve().is_relative_to(staging.resolve()):
            raise DatasetError(f"{target} lies inside the folder {staging} that should become it")
        _put_back(target)
        arriving, leaving = temporary_sibling(target), _leaving(target)
        # Across filesystems this copies, which is why the rename below is a step of its own.
        shutil.move(staging, arriving)
        (arriving / _SENTINEL).touch()
        if target.exists():
            target.replace(leaving)
        arriving.replace(target)
        shutil.rmtree(leaving, ignore_errors=True)

    def _exists(self) -> bool:
        path = Path(self._get_load_path())
        _put_back(path)
        return _is_complete(str(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}


def _leaving(target: Path) -> Path:
    """Where the folder waits that another one replaces, until that one is in its place."""
    return target.with_name(f".{target.name}.leaving")


def _put_back(target: Path) -> None:
    """Undo the first rename of a save that was killed before its second; clear up after one that was killed later."""
    leaving = _leaving(target)
    if leaving.exists():
        if target.exists():
            shutil.rmtree(leaving, ignore_errors=True)
        else:
            leaving.replace(target)
