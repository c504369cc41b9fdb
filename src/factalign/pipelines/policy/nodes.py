"""Nodes of the policy pipeline."""

from typing import Any

from factalign.parameters import PolicySource
from factalign.pipelines.staging import staging_folder


def import_policy(source: PolicySource, staging_dir: str) -> str:
    """Convert a bundled model to safetensors; a model of a hub or a local folder is used where it is.

    Returns:
        The folder to publish, empty where there was nothing to convert.
    """
    from factalign.policies import convert_gguf

    folder = staging_folder(staging_dir, "policy")
    if source.package and source.file and source.kind == "gguf_package":
        convert_gguf(source.package, source.file, folder)
    return folder


def describe_policy(checkpoint: str, source: PolicySource) -> dict[str, Any]:
    """The handle of the base policy, named by a hash of its weights."""
    from factalign.policies import make_handle

    if source.model and source.kind == "hub":
        return dict(make_handle(source.model, source.adapters, revision=source.revision))
    return dict(make_handle(checkpoint))
