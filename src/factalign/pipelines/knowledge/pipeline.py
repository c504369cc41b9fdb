"""Knowledge: a corpus becomes passages, an index, and prompts about its topics."""

from kedro.pipeline import Node, Pipeline

from .nodes import index_passages, read_corpus, split_prompts, write_prompts


def create_pipeline() -> Pipeline:
    """From `params:corpus` to `passages`, `index`, `train_prompts` and `benchmark_prompts`."""
    return Pipeline(
        [
            Node(read_corpus, inputs="params:corpus", outputs="passages", name="read_corpus"),
            Node(
                index_passages,
                inputs=["passages", "params:retriever", "params:staging_dir"],
                outputs="index",
                name="index_passages",
            ),
            Node(
                write_prompts,
                inputs=["passages", "params:prompts", "params:corpus"],
                outputs="all_prompts",
                name="write_prompts",
            ),
            Node(
                split_prompts,
                inputs=["all_prompts", "params:benchmark"],
                outputs=["train_prompts", "benchmark_prompts"],
                name="split_prompts",
            ),
        ],
        namespace="knowledge",
        outputs={"passages", "index", "train_prompts", "benchmark_prompts"},
        parameters={f"params:{name}" for name in ("corpus", "retriever", "staging_dir", "prompts", "benchmark")},
        tags="knowledge",
    )
