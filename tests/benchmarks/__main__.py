"""`python -m tests.benchmarks [trainer memory sampling retrieval evaluate]`: run benchmarks, then write the table.

Every benchmark writes JSON files to data/08_reporting/bench; the table of all that is there goes to docs/benchmarks.md.
Leave the machine alone meanwhile: everything together takes about an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from tests.benchmarks.common import OUTPUT, PROJECT

BENCHMARKS = ("trainer", "sampling", "evaluate", "retrieval", "memory")
PAGE = PROJECT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`, which runs `python -m tests.benchmarks`; each row is one file of `data/08_reporting/bench/`,
where the single runs are. Ratios are of medians of runs that alternated with the peer's in the same session, with 95%
bootstrap intervals over the runs. What each measures is said at the top of its file in
[`tests/benchmarks`](../tests/benchmarks).

"""


PARTS = {"with_references": "ours with the time of its references", "memory": "peak memory"}


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def compared(result: dict[str, Any]) -> str:
    """The cells ours, peer and ratio."""
    if result.get("peer") is None:
        return f"{number(result['ours'])} | | "
    low, high = result["interval"]
    ratio = f"**{result['ratio']:.2f}** [{low:.2f}, {high:.2f}]"
    return f"{number(result['ours'])} | {number(result['peer'])} | {ratio}"


def row(result: dict[str, Any], part: str | None = None) -> str:
    """One line of the table: the result itself, or one of its parts."""
    shown = result[part] if part else result
    name = f"{result['name']}: {PARTS[part]}" if part else result["name"]
    return f"| {name} | {shown.get('unit', result['unit'])} | {compared(shown)} | {result['date']} |"


def page(results: list[dict[str, Any]]) -> str:
    """The page of all results."""
    lines = ["| benchmark | unit | ours | peer | ratio | date |", "|---|---|---|---|---|---|"]
    for result in results:
        lines += [row(result, part) for part in (None, *PARTS) if part is None or part in result]
    lines.append("")
    for result in results:
        if "where_the_time_goes" in result and result["name"].endswith("cached references"):
            parts = ", ".join(f"{name} {share:.0%}" for name, share in result["where_the_time_goes"].items())
            lines += [
                f"**{result['name'].split(',')[1].strip()}**: the matrix products with the weights, at the "
                f"{result['matrix_product_gflops']:.0f} GFLOP per CPU-second that such a product alone reached in the "
                f"same run, would take {result['share_of_flop_floor']:.0%} of the time of a step. Where it goes: "
                f"{parts}.",
                "",
            ]
        if large := result.get("details", {}).get("ours_large"):
            lines += [
                f"**BM25 over {large['passages']:,} passages**: built in {large['build_cpu_s']:.0f} CPU-seconds, peak "
                f"memory {large['peak_memory_mb'] / 1000:.1f} GB (the passages alone "
                f"{large['memory_before_build_mb'] / 1000:.1f}), {large['index_mb']:.0f} MB on disk; "
                f"{large['queries_per_cpu_s']:.0f} queries per "
                f"CPU-second over all of it ({large['bm25s_queries_per_cpu_s']:.0f} by bm25s' own `retrieve`, same "
                f"scores), {large['queries_per_cpu_s_in_topic']:.0f} within a topic.",
                "",
            ]
        if "curve" in result:
            lines += ["**Memory of a LoRA step** on one sequence; beyond 2,048 tokens activations are recomputed:", ""]
            lines += ["| tokens of the sequence | GiB above the loaded model | keeping activations | CPU seconds |"]
            lines += ["|---|---|---|---|"]
            keeping = {run["length"]: f"{run['memory']:.2f}" for run in result["without"]}
            lines += [
                f"| {run['length']:,} | {run['memory']:.2f} | {keeping.get(run['length'], '')} | {run['cpu']:.0f} |"
                for run in result["curve"]
            ]
            lines.append("")
    machines = sorted({result["machine"] for result in results})
    versions = {name: version for result in results for name, version in result["versions"].items()}
    lines += [
        f"Machine: {'; '.join(machines)}. Versions: "
        + ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        + "."
    ]
    return HEAD + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", nargs="*", metavar="BENCHMARK", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--table-only", action="store_true", help="write the table of what was measured before")
    options = parser.parse_args()
    if unknown := sorted(set(options.benchmarks) - set(BENCHMARKS)):
        parser.error(f"unknown benchmark {unknown[0]!r}; valid: {', '.join(BENCHMARKS)}")
    if not options.table_only:
        for name in options.benchmarks or BENCHMARKS:
            subprocess.run([sys.executable, "-m", f"tests.benchmarks.bench_{name}"], cwd=PROJECT, check=True)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(OUTPUT.glob("*.json"))]
    if not results:
        parser.error(f"{OUTPUT} holds no results")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(results), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
