"""What happens around a run: parameters are checked, the run is put on record, the result is printed."""

import importlib.metadata
import json
import logging
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

logger = logging.getLogger(__name__)

RECORDED_PACKAGES = (
    "factalign",
    "kedro",
    "kedro-datasets",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "vllm",
    "pandas",
    "nltk",
    "bm25s",
)


class CheckParameters:
    """A misspelt parameter fails before any node runs, at the top level too, which Kedro itself lets pass."""

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Validate all parameters of the environment."""
        from factalign.parameters import check_parameters

        check_parameters(context.params)


class RunManifest:
    """Records what a run was made with, so that every number can be traced.

    The catalog's `run_manifest` is that of the newest run, `{session}.run_manifest` that of each.
    """

    def __init__(self, project_path: Path) -> None:
        self.project_path = project_path
        self.record: dict[str, Any] = {}

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Write the manifest of a run that starts; warn when it continues one made with other parameters."""
        parameters = catalog.load("parameters")
        if run_params.get("only_missing_outputs"):
            self._warn_of_changes(catalog, json.loads(json.dumps(parameters, default=_plain)))
        self.record = {
            "session": run_params["run_id"],
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "finished": None,
            "run": {key: run_params.get(key) for key in ("pipeline_names", "env", "tags", "namespaces")},
            "parameters": parameters,
            "versions": _versions(),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "commit": _git(self.project_path, "rev-parse", "HEAD"),
            "uncommitted_changes": bool(_git(self.project_path, "status", "--porcelain")),
            "policies": {},
        }
        self._save(catalog)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Complete the manifest with the end of the run and the content hashes of its policies."""
        handles = [name for name in pipeline.datasets() if name.endswith(".policy") and catalog.exists(name)]
        self.record["policies"] = {name: catalog.load(name)["policy_id"] for name in sorted(handles)}
        self.record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._save(catalog)

    def _save(self, catalog: Any) -> None:
        record = json.loads(json.dumps(self.record, default=_plain))
        for name in ("run_manifest", f"{self.record['session']}.run_manifest"):
            if name in catalog:
                catalog.save(name, record)

    def _warn_of_changes(self, catalog: Any, parameters: dict[str, Any]) -> None:
        if "run_manifest" not in catalog or not catalog.exists("run_manifest"):
            return
        before = catalog.load("run_manifest")["parameters"]
        changed = sorted(key for key in before.keys() | parameters.keys() if before.get(key) != parameters.get(key))
        if changed:
            logger.warning(
                "Existing artifacts are kept, but the run that made them had other parameters under: %s. "
                "Run without --only-missing-outputs to make everything anew.",
                ", ".join(changed),
            )


class PrintResult:
    """The run ends by printing the table of the report that it made."""

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Any, catalog: Any) -> None:
        """Print the summary, where the run made one."""
        if "summary" in pipeline.outputs():
            from factalign.analysis import format_table

            print(format_table(catalog.load("summary")))  # noqa: T201


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)


def _versions() -> dict[str, str]:
    found = {}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git(path: Path, *arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", "-C", str(path), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
