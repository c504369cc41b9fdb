"""A policy made ready for training: the choice of its trained weights, and a forward pass to log-probabilities."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from factalign.fkto.config import FKTOConfig
from factalign.fkto.model import attention
from factalign.fkto.model.adapters import adapt, adapter_identity, heads, policy_of, train_adapter
from factalign.fkto.model.logps import LogitRule, chunked_logps, chunked_logps_and_entropies
from factalign.fkto.model.routing import load_balancing
from factalign.fkto.model.trunk import FrozenTrunk, decoder_layers, decoder_of

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


ORIGINS = {"_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "dtype", "torch_dtype"}
"""Keys of a model's configuration that say where it came from; types are those of the parameters."""


def model_hash(model: PreTrainedModel | PeftModel) -> str:
    """SHA-256 over the configuration, and its adapter's, and the names, types and bytes of all parameters.

    Two models with it in common are the same function: the parameters alone do not know `rope_theta` and the like.

    `policies.model_fingerprint` speaks of a folder's files instead: a merged adapter or another compute type is another
    function, and has no folder.
    """
    digest = hashlib.sha256(json.dumps(_without_origins(model.config.to_dict()), sort_keys=True, default=str).encode())
    for name, parameter in sorted(model.named_parameters()):
        data = parameter.detach().contiguous().cpu()
        digest.update(f"{name} {data.dtype} {tuple(data.shape)}".encode())
        digest.update(data.flatten().view(torch.uint8).numpy())
    for adapter in getattr(model, "peft_config", {}).values():
        digest.update(adapter_identity(adapter).encode())
    return digest.hexdigest()


def _without_origins(config: Any) -> Any:
    if isinstance(config, Mapping):
        return {str(key): _without_origins(value) for key, value in config.items() if key not in ORIGINS}
    return config


def cast_model(model: PreTrainedModel | PeftModel, config: FKTOConfig) -> None:
    """Keep the weights in the type that the method needs: trained ones in float32, frozen ones in the compute type.

    Buffers stay as they are: rotary frequencies, rounded, would turn far positions by wrong angles.
    """
    if config.load_in_4bit:
        return
    trained = {id(p) for p in train_adapter(model)} if hasattr(model, "peft_config") else set()
    dtype = torch.float32 if config.method == "full" else getattr(torch, config.dtype)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.float32 if id(parameter) in trained else dtype)


def prepare_model(
    model: PreTrainedModel | PeftModel, config: FKTOConfig, peft_config: PeftConfig | None = None
) -> tuple[nn.Module, FrozenTrunk | None]:
    """Choose the trained weights (kept in float32), freeze the rest, and install the log-probability forward.

    Args:
        model: After `cast_model`.
        config: The choices.
        peft_config: The adapter of method `lora`, where the settings do not say what it is.

    Returns:
        The model to train (a `PeftModel` with method `lora`), and its trunk with method `layers`.

    Raises:
        ValueError: The method does not fit the model.
    """
    compute, policy = getattr(torch, config.dtype), policy_of(model)
    if config.packing:
        policy.set_attn_implementation(attention.PACKED)
    if config.router_loss_weight:
        load_balancing(policy)
    trunk = None
    model.requires_grad_(config.method == "full")
    remove_dropout(model)
    if config.method == "layers":
        layers = decoder_layers(model)
        if config.train_layers > len(layers):
            raise ValueError(f"train_layers is {config.train_layers}, but the model has {len(layers)} layers")
        split = len(layers) - config.train_layers
        for layer in layers[split:]:
            layer.to(torch.float32).requires_grad_(True)
        trunk = FrozenTrunk(model, split)
    prepared = adapt(model, config, peft_config) if config.method == "lora" else model
    install_forward(policy, compute, config.logit_chunk, trunk)
    return prepared, trunk


def remove_dropout(model: nn.Module) -> None:
    """Let the model's own dropout drop nothing: it would tell policy and reference apart where they are the same.

    Transformers keeps some probabilities in `nn.Dropout`, and some as numbers of the module that uses them. That of an
    adapter stays.
    """
    for path, module in model.named_modules():
        if "lora_dropout" in path:
            continue
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if isinstance(value, float) and "drop" in name:
                setattr(module, name, 0.0)


def set_checkpointing(model: nn.Module, enabled: bool) -> None:
    """Whether the layers recompute their activations in backward, from the next forward pass on."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.gradient_checkpointing = enabled
            module._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def logit_rule(model: PreTrainedModel) -> LogitRule:
    """What `model` makes of the products with its head, as far as its configuration has a name for it.

    Cohere and Falcon-H1 multiply (`logit_scale`, `lm_head_multiplier`), Granite divides (`logits_scaling`), Gemma 2
    bounds (`final_logit_softcapping`). What else a model may do, `selfcheck` finds.
    """
    text = model.config.get_text_config()
    factors = (getattr(text, name, None) for name in ("logit_scale", "lm_head_multiplier"))
    scale = math.prod(factor for factor in factors if factor is not None)
    return LogitRule(
        scale / (getattr(text, "logits_scaling", None) or 1.0), getattr(text, "final_logit_softcapping", None)
    )


def install_forward(model: PreTrainedModel, compute: torch.dtype, chunk: int, trunk: FrozenTrunk | None = None) -> None:
    """Give `model` a forward pass that returns log-probabilities when it is called with `targets`.

    The log-probabilities are computed inside `forward` so that the hooks of DDP, FSDP and DeepSpeed see one ordinary
    forward pass; the head is called as a module, with `targets`, because ZeRO-3 hands out its weight only then.
    `forward(input_ids, position_ids, positions, targets, …)` takes what `batches.model_inputs` makes, and with a trunk
    optionally `trunk_states` `[rows, length, width]`; it returns `[n]` float32, `with_entropies` the entropies too, and
    `with_router_loss` after both the load-balancing loss of the pass.
    The attribute `logp_dtype` of the model is the type that it computes in, `compute`.
    """
    original, call_head, rule = model.forward, model.get_output_embeddings(), logit_rule(model)

    def head_forward(
        head: Any, logits: Any, hidden: Tensor, targets: Tensor | None = None, with_entropies: bool = False
    ) -> Any:
        if targets is None:
            return logits(hidden)
        scores = chunked_logps_and_entropies if with_entropies else chunked_logps
        return scores(hidden, head.weight, targets, chunk, getattr(head, "bias", None), rule)

    def forward(
        self: PreTrainedModel,
        *args: Any,
        targets: Tensor | None = None,
        positions: Tensor | None = None,
        trunk_states: Tensor | None = None,
        with_entropies: bool = False,
        with_router_loss: bool = False,
        **kwargs: Any,
    ) -> Any:
        if targets is None:
            return original(*args, **kwargs)
        for name in ("labels", "output_attentions", "output_hidden_states", "return_dict"):
            kwargs.pop(name, None)
        decoder, compute = decoder_of(self), self.logp_dtype
        layout = attention.packed_forward() if "cu_seq_lens_q" in kwargs else nullcontext()
        given = nullcontext() if trunk_states is None or trunk is None else trunk.starting_from(trunk_states)
        # A cache would hold a copy of every trained weight to the end of the pass, recomputed and sharded ones too.
        cast = torch.autocast(self.device.type, compute, enabled=compute != torch.float32, cache_enabled=False)
        with layout, given, cast:
            routers = {"output_router_logits": True} if with_router_loss else {}
            outputs = decoder(*args, use_cache=False, **kwargs, **routers)
        if trunk is not None and trunk.is_recording:
            return trunk.recorded
        hidden = outputs.last_hidden_state.flatten(0, 1)[positions].to(compute)
        scores = call_head(hidden, targets=targets, with_entropies=with_entropies)
        if not with_router_loss:
            return scores
        return *scores, load_balancing(self)(outputs.router_logits, kwargs.get("attention_mask"))

    for head in heads(model):
        head.forward = partial(head_forward, head, head.forward)
    model.logp_dtype = compute
    model.forward = MethodType(forward, model)


def trunk_states(model: nn.Module, trunk: FrozenTrunk, inputs: Mapping[str, Any]) -> Tensor:
    """What the first trained layer receives, `[rows, length, width]`; `model` may be wrapped."""
    with torch.no_grad(), trunk.recording():
        return model(**inputs)


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, state: dict[str, Tensor]
) -> None:
    """Write a complete bfloat16 model with its tokenizer (safetensors)."""
    half = {name: tensor.to(torch.bfloat16) for name, tensor in state.items()}
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict=half)
    tokenizer.save_pretrained(folder)
