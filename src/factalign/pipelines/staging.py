"""Folders in which nodes make what the catalog then publishes."""

import tempfile
from pathlib import Path


def staging_folder(staging_dir: str, kind: str) -> str:
    """A new empty folder in `staging_dir`, whose name begins with `kind`, for a node to fill and to return."""
    Path(staging_dir).mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(prefix=f"{kind}-", dir=staging_dir)
