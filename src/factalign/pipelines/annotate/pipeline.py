"""Annotate: a blinded sheet of the benchmarks' claims for people to read, and results corrected by what they say."""

from kedro.pipeline import Node, Pipeline

from .nodes import draw_of, join, measure, read, report, write_sheet

TABLES = ("responses", "sentences", "claims", "evidence", "verdicts", "found_passages")


def create_pipeline(policies: list[str]) -> Pipeline:
    """From the benchmarks of `policies`, the base first, to the sheet, and from filled ones to `annotate.report`."""
    benchmarks = {policy: {table: f"{policy}.benchmark.{table}" for table in TABLES} for policy in policies}
    draws = [
        Node(
            draw_of(policy),
            inputs={
                "annotate": "params:annotate",
                "passages": "passages",
                "prompts": "benchmark_prompts",
                **benchmarks[policy],
            },
            outputs=[f"{policy}.key", f"{policy}.items"],
            name=f"draw_{policy}",
        )
        for policy in policies
    ]
    return Pipeline(
        [
            *draws,
            Node(join, inputs=[f"{policy}.key" for policy in policies], outputs="key", name="join"),
            Node(
                write_sheet,
                inputs=[f"{policy}.items" for policy in policies],
                outputs=["sheet", "sheet_csv", "sheet_html"],
                name="write_sheet",
            ),
            Node(read, inputs=["params:annotate", "key"], outputs="annotations", name="read_filled"),
            Node(measure, inputs=["key", "annotations", "params:annotate"], outputs="results", name="measure"),
            Node(report, inputs="results", outputs="report", name="report"),
        ],
        namespace="annotate",
        inputs={"passages", "benchmark_prompts", *(name for tables in benchmarks.values() for name in tables.values())},
        parameters="params:annotate",
        tags="annotate",
    )
