"""Claims per CPU-second of each offline verifier, end to end from the text of responses.

`python -m tests.benchmarks.bench_evaluate [--distilled FOLDER]` writes data/08_reporting/bench/evaluate_….json.

The corpus is the World Factbook, its index ready; the responses are the five of docs/examples, rewritten for 40
countries by exchanging the name. Each repeat is a process of its own, since verifiers remember passages that they have
read; loading a verifier does not count. There is no peer to run beside it: FActScore and SAFE need a chat model behind
an API. So the peer of every verifier but `lexical` is `lexical`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from typing import Any

import numpy as np

from tests.benchmarks.common import PROJECT, compare, run_child, write

PACKAGES = ("numpy", "pandas", "bm25s", "nltk", "torch", "transformers")


def responses(names: list[str]) -> list[dict[str, str]]:
    """The example responses, each about every name."""
    lines = (PROJECT / "docs/examples/responses.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        {"topic": name, **{key: row[key].replace(row["topic"], name) for key in ("prompt", "response")}}
        for row in rows
        for name in names
    ]


def measure(name: str, options: dict[str, Any], countries: int) -> dict[str, Any]:
    """CPU-seconds of each step, and what they were spent on."""
    from factalign.corpora import CORPORA, read_passages, topics
    from factalign.evaluation import read_responses, retrieve_evidence, score_responses, verify_claims
    from factalign.extraction import EXTRACTORS, extract_claims, split_responses
    from factalign.retrieval import RETRIEVERS
    from factalign.verifiers import load_verifier

    corpus = CORPORA.build("factbook")
    passages, extractor = read_passages(corpus), EXTRACTORS.build("clause", aids=corpus.aids)
    retriever, verifier = RETRIEVERS.build("bm25"), load_verifier(name, **options)
    names = topics(passages)[::3][:countries]
    seconds: dict[str, float] = {}

    def timed(step: str, function: Any, *arguments: Any) -> Any:
        started = time.process_time()
        result = function(*arguments)
        seconds[step] = time.process_time() - started
        return result

    with tempfile.TemporaryDirectory() as folder:
        retriever.build(passages, folder)
        prompts, answers = timed("read", read_responses, responses(names))
        sentences = timed("sentences", split_responses, answers)
        claims = timed("claims", extract_claims, sentences, answers, prompts, extractor)
        evidence, _ = timed("evidence", retrieve_evidence, claims, answers, prompts, retriever, 20)
    verdicts = timed("verdicts", verify_claims, claims, evidence, passages, verifier)
    timed("scores", lambda: score_responses(answers, sentences, claims, verdicts, k=4))
    total = sum(seconds.values())
    return {
        "claims": len(claims),
        "responses": len(answers),
        "seconds": seconds,
        "claims_per_second": len(claims) / total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--distilled", help="folder of a distilled verifier, to measure it and the ensemble as well")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--countries", type=int, default=40, help="countries that the five responses are rewritten for")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        sys.stdout.write(json.dumps(measure(*json.loads(arguments.once))))
        return
    verifiers: dict[str, dict[str, Any]] = {"lexical": {}}
    if arguments.distilled:
        distilled = {"name": "distilled", "options": {"path": arguments.distilled}}
        verifiers |= {"distilled": distilled["options"], "ensemble": {"members": [{"name": "lexical"}, distilled]}}
    peer: list[float] = []
    for name, options in verifiers.items():
        once = json.dumps([name, options, arguments.countries])
        runs = [run_child("bench_evaluate", "--once", once) for _ in range(arguments.repeats)]
        speeds = [run["claims_per_second"] for run in runs]
        result = compare(speeds, peer) if peer else {"ours": float(np.median(speeds)), "peer": None}
        peer = peer or speeds
        about = {"name": f"evaluate, {name}", "unit": "claims per CPU-second", "details": {"runs": runs}}
        write(f"evaluate_{name}", {**about, **result}, PACKAGES)


if __name__ == "__main__":
    main()
