"""What FSDP2 has to be told beyond accelerate's profile, so that sharded training is the training of one process.

accelerate's `mixed_precision: bf16` would round the log-probabilities, which are the output of the sharded model, and
what goes from layer to layer. Here the weights alone travel in the compute type, as autocast would round them anyway.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers.utils.generic import strtobool


def uses_fsdp() -> bool:
    """Whether accelerate was told to shard by FSDP."""
    return bool(strtobool(os.environ.get("ACCELERATE_USE_FSDP", "false")))


def check_optimizer(name: str) -> None:
    """Refuse what cannot update weights that FSDP shares out.

    Raises:
        ValueError: It is an 8-bit optimizer other than torchao's: those of bitsandbytes write outside a shard
            (bitsandbytes issue 1633).
    """
    if uses_fsdp() and "8bit" in name and name != "adamw_torch_8bit":
        raise ValueError(
            f"optimizer {name!r} does not work with FSDP; choose adamw_torch_fused, whose states the ranks share, or "
            f"adamw_torch_8bit (needs torchao)"
        )


def prepare_fsdp(model: nn.Module, accelerator: Accelerator, compute: torch.dtype) -> None:
    """Before accelerate shares the weights of `model` out: addresses, and the type in which weights travel.

    The residual stream begins, and so stays, in the type that the embedding had.
    """
    if not accelerator.is_fsdp2:
        return
    give_addresses(model)
    if compute == torch.float32:
        return
    accelerator.state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(
        param_dtype=compute, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    embedding: Any = model.get_input_embeddings()
    dtype = embedding.weight.dtype

    def keep_type(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return output.to(dtype)

    embedding.register_forward_hook(keep_type)


def give_addresses(model: nn.Module) -> None:
    """Let trained weights on the meta device have memory, which nobody touches: the system does not even provide it.

    accelerate tells the optimizer's parameters apart by their addresses, and puts them back on the meta device before
    the first rank sends what is in them.
    """
    for parameter in model.parameters():
        if parameter.is_meta and parameter.requires_grad:
            torch.utils.swap_tensors(parameter, nn.Parameter(torch.empty_like(parameter, device="cpu")))
