"""`python -m tests.benchmarks.architectures`: which architectures the trainer packs, pads or refuses.

Of every causal language model that transformers knows, a tiny one with random weights is made, and the
log-probabilities of three rows in the trainer's layout are compared with those of the untouched model in float32.
Nothing is trained, and no weights are downloaded. The table goes to docs/architectures.md.
"""

from __future__ import annotations

import gc
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.preparation import cast_model, prepare_model
from factalign.fkto.model.selfcheck import SelfCheck
from factalign.fkto.rows.batches import model_inputs
from factalign.fkto.rows.spans import TokenSequence
from tests.benchmarks.common import PROJECT

PAGE = PROJECT / "docs" / "architectures.md"
ARCHITECTURES = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
VOCABULARY = 128
LARGEST = 3_000_000
RIGHT = 5e-3

# What makes a model tiny, by the names that configurations have for it.
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64, "moe_intermediate_size": 16,
    "max_position_embeddings": 256, "initializer_range": 0.1, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "sliding_window": 8, "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "q_lora_rank": 16, "kv_lora_rank": 16,
    "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8, "ffn_dim": 64, "encoder_layers": 1,
    "decoder_layers": 2, "decoder_ffn_dim": 64, "encoder_ffn_dim": 64, "mamba_n_heads": 4, "mamba_d_head": 16,
    "mamba_d_state": 8, "mamba_d_ssm": 64, "mamba_n_groups": 1, "state_size": 8, "num_heads": 4, "n_groups": 1,
    "shared_expert_intermediate_size": 16, "moe_shared_expert_intermediate_size": 16, "image_size": 16, "patch_size": 8,
    "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8, "global_head_dim": 8,
    "index_head_dim": 8, "index_n_heads": 2, "index_topk": 64, "embedding_size": 32, "rotary_dim": 8,
    "num_nextn_predict_layers": 0, "num_kv_shared_layers": 0, "attention_chunk_size": 8, "chunk_size": 8,
}  # fmt: skip
SPECIAL: dict[str, dict[str, Any]] = {
    "mamba2": {"head_dim": 16, "expand": 2},
    "phi3": {"sliding_window": None},
    "xglm": {"attention_heads": 4},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "ministral": {"head_dim": 8},
    "nemotron": {"head_dim": 8, "num_key_value_heads": 2},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "zaya": {"num_experts_per_tok": 1},
}


@dataclass(frozen=True)
class Result:
    """What the trainer makes of an architecture.

    Attributes:
        name: Its model type.
        layout: packed, padded, refused, or skipped where no tiny model could be made.
        largest: Largest difference to the untouched model, in nats; None where there is none to tell.
        reason: Why it was refused or skipped.
    """

    name: str
    layout: str
    largest: float | None = None
    reason: str = ""


def tiny_config(name: str) -> Any:
    """The configuration of a tiny model of a model type, by `SIZES` and `SPECIAL`."""
    return _shrink(AutoConfig.for_model(name), SPECIAL.get(name, {}))


def _shrink(config: Any, special: dict[str, Any]) -> Any:
    kind = type(config)
    fields: dict[str, Any] = {name: value for name, value in SIZES.items() if _is_set(config, name)}
    if "kv_lora_rank" in fields:  # latent attention has as many keys as queries
        fields["num_key_value_heads"] = fields["num_attention_heads"]
    for name in kind.sub_configs:
        if getattr(config, name, None) is not None:
            fields[name] = _shrink(getattr(config, name), {}).to_dict()
    return kind(**{**fields, **special})


def _is_set(config: Any, name: str) -> bool:
    if isinstance(getattr(type(config), name, None), property):
        return False
    try:
        return getattr(config, name, None) is not None
    except AttributeError:  # differs by layer
        return False


def _rows(lengths: tuple[int, ...]) -> list[TokenSequence]:
    draw = np.random.default_rng(0)
    ids = [draw.integers(3, VOCABULARY, n).astype(np.int32) for n in lengths]
    return [TokenSequence(x, 5, np.zeros(len(x) - 5, dtype=np.int32), (0,), False, False) for x in ids]


def _tiny_model(name: str) -> Any:
    config = tiny_config(name)
    with torch.device("meta"):
        count = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    if count > LARGEST:
        raise ValueError(f"its tiny configuration still has {count:,} parameters")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for parameter in model.parameters():  # biases, gates and sinks are 0 or 1 at first, which hides them
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def _short(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 160 else text[:157] + "…"


def examine(name: str) -> Result:
    """Make a tiny model of a model type, let the self-check choose its layout, and compare."""
    rows = _rows((21, 40, 30))
    config = FKTOConfig(method="full", dtype="float32")
    expected = []
    try:
        model = _tiny_model(name)
        with torch.no_grad():
            for s in rows:
                ids = torch.from_numpy(s.ids).long()
                logits = torch.log_softmax(model(input_ids=ids[None], use_cache=False).logits[0, :-1].float(), -1)
                expected.append(logits.gather(1, ids[1:, None])[s.start - 1 :, 0])
    except Exception as error:
        return Result(name, "skipped", reason=_short(error))
    try:
        cast_model(model, config)
        check = SelfCheck(model, _rows((33, 35, 37)), None)
        prepared, trunk = prepare_model(model, config)
        config = check.settle(prepared, trunk, config)
    except Exception as error:
        return Result(name, "refused", reason=_short(error))
    with torch.no_grad():
        found = prepared.eval()(**model_inputs(rows, config.packing))
    return Result(name, "packed" if config.packing else "padded", float((found - torch.cat(expected)).abs().max()))


def page(results: list[Result]) -> str:
    """docs/architectures.md."""
    counts = {layout: sum(r.layout == layout for r in results) for layout in ("packed", "padded", "refused", "skipped")}
    lines = [
        "# Architectures",
        "",
        "Written by `python -m tests.benchmarks.architectures`: for every causal language model of transformers "
        f"{transformers.__version__}, a tiny one with random weights, and the largest difference between the trainer's "
        "log-probabilities and those of the untouched model in float32, in nats. *packed*: rows stand behind each "
        "other in one; *padded*: packing would change the log-probabilities, so a run pads instead, with a warning; "
        "*refused*: a run ends before it trains; *skipped*: no tiny model could be made, so nothing is known (the "
        "check at the start of every run decides).",
        "",
        ", ".join(f"{count} {layout}" for layout, count in counts.items()) + ".",
        "",
        "| model type | layout | largest difference | reason |",
        "|---|---|---|---|",
    ]
    for r in results:
        largest = "" if r.largest is None else f"{r.largest:.1e}"
        reason = r.reason.replace("|", "\\|")
        lines.append(f"| {r.name} | {r.layout} | {largest} | {reason} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Examine all and write the page."""
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity(transformers.logging.CRITICAL)
    results = []
    for name in sys.argv[1:] or ARCHITECTURES:
        results.append(examine(name))
        print(results[-1], flush=True)  # noqa: T201
        gc.collect()
    if len(sys.argv) == 1:
        PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
