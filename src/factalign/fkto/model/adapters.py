"""Adapters of peft: which of them are trained, a new one on a policy, or the one that a policy already has."""

from __future__ import annotations

import copy
import json
from typing import Any

from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from peft.tuners.lora.dora import DoraLinearLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import AuxiliaryTrainingWrapper, ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from factalign.base.ids import content_hash
from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.lora import install_lora

KINDS = ("LORA", "IA3", "LOHA", "LOKR", "OFT", "VERA", "HRA")
"""What changes the weights of single layers, whatever the sequence, and needs no care while it trains."""

SETTINGS = ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "lora_modules_to_save", "use_dora")
"""Those of `FKTOConfig` that a `PeftConfig` replaces."""

ORIGINS = {"base_model_name_or_path", "revision", "inference_mode", "peft_version", "auto_mapping"}
"""Keys of a `PeftConfig` that do not decide what the adapter computes."""


def policy_of(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The model of transformers that `model` is, or has its adapter in."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def check_adapter(model: PreTrainedModel | PeftModel, peft_config: PeftConfig | None, config: FKTOConfig) -> None:
    """Refuse what cannot be trained, or leaves open which adapter is meant.

    Raises:
        ValueError: The message says what to do.
    """
    held = getattr(model, "peft_config", None) or {}
    if not held and peft_config is None:
        return
    given = "peft_config" if not held else f"the adapter of this {type(model).__name__}"
    if held and not isinstance(model, PeftModel):
        raise ValueError(f"{type(model).__name__} holds adapters of its own: hand over a PeftModel or the plain model")
    if held and peft_config is not None:
        raise ValueError(
            "the model holds an adapter and peft_config asks for one: merge_and_unload() first, or drop it"
        )
    if len(held) > 1:
        raise ValueError(f"the model holds the adapters {sorted(held)}: delete_adapter() all but the one to train")
    if config.method != "lora":
        raise ValueError(f"{given} needs method 'lora', not {config.method!r}; or merge_and_unload() first")
    if twice := sorted(config.model_fields_set.intersection(SETTINGS)):
        raise ValueError(f"{given} and {', '.join(twice)} both say what the adapter is: leave out one of them")
    adapter = peft_config if peft_config is not None else next(iter(held.values()))
    kind = getattr(adapter.peft_type, "value", adapter.peft_type)
    if kind not in KINDS or getattr(adapter, "alora_invocation_tokens", None):
        raise ValueError(
            f"{given} is of a kind that is not trained here ({kind}): it changes the sequence, depends on it, or needs "
            f"steps of its own; known: {', '.join(KINDS)}"
        )
    if held and getattr(adapter, "bias", "none") != "none":
        raise ValueError(f"{given} trains biases of the model ({adapter.bias}): merge_and_unload() first")
    if any(layer.merged for layer in model.modules() if isinstance(layer, BaseTunerLayer)):
        raise ValueError(f"{given} is merged: unmerge_adapter() to train it on, or merge_and_unload() first")
    if not held and getattr(adapter, "init_lora_weights", True) not in (True, "gaussian"):
        raise ValueError(
            f"init_lora_weights={adapter.init_lora_weights!r} begins with another model than the one handed over, so "
            f"neither reference nor saved adapter would fit it: leave it True"
        )


def adapter_identity(peft_config: PeftConfig) -> str:
    """Hash of what decides what an adapter of this configuration computes."""
    fields = {key: value for key, value in peft_config.to_dict().items() if key not in ORIGINS}
    return content_hash(json.loads(json.dumps(fields, default=lambda value: sorted(map(str, value)))))


def train_adapter(model: PeftModel) -> list[nn.Parameter]:
    """Let the one adapter of `model` alone be trained; returns its parameters."""
    (name,) = model.peft_config
    model.requires_grad_(False)
    model.set_adapter(name)
    model.peft_config[name].inference_mode = False
    return [p for p in model.parameters() if p.requires_grad]


def adapt(model: PreTrainedModel | PeftModel, config: FKTOConfig, peft_config: PeftConfig | None) -> PeftModel:
    """`model`, frozen, with an adapter that is trained in float32: its own, or else a new one.

    Raises:
        ValueError: The adapter changes the output head in a way that training or merging would get wrong.
    """
    if isinstance(model, PeftModel):
        adapted = model
        train_adapter(adapted)
    else:
        new = _lora_config(model, config) if peft_config is None else copy.deepcopy(peft_config)
        new.task_type = "CAUSAL_LM"
        adapted = get_peft_model(model, new)
    policy = policy_of(adapted)
    head, embeddings = policy.get_output_embeddings(), policy.get_input_embeddings()
    if isinstance(head, (BaseTunerLayer, AuxiliaryTrainingWrapper)) and not isinstance(head, ModulesToSaveWrapper):
        raise ValueError(
            "the adapter's targets include the output head, which is not supported; it can be trained as a whole "
            "(lora_modules_to_save, or modules_to_save of a peft config)"
        )
    if isinstance(embeddings, BaseTunerLayer) and embeddings.weight is head.weight:
        raise ValueError(
            "the adapter's targets include the embeddings, whose weights are those of the output head: merging would "
            "change the head too; train both as a whole (lora_modules_to_save, or modules_to_save of a peft config)"
        )
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if adapted is not model:
        _exact_magnitudes(adapted)
    install_lora(adapted)
    return adapted


def _exact_magnitudes(adapted: PeftModel) -> None:
    """Take DoRA's first magnitudes of the base weights anew: peft has rounded them to the type of those."""
    for layer in adapted.modules():
        for name, magnitude in getattr(layer, "lora_magnitude_vector", {}).items():
            if type(magnitude) is DoraLinearLayer:
                magnitude.update_layer(
                    base_layer=layer.base_layer,
                    lora_A=layer.lora_A[name].weight,
                    lora_B=layer.lora_B[name].weight,
                    scaling=layer.scaling[name],
                )


def heads(model: PreTrainedModel) -> list[Any]:
    """The output head; where an adapter has a copy of it to train, the copy too."""
    head = model.get_output_embeddings()
    if isinstance(head, ModulesToSaveWrapper):
        return [head.original_module, *head.modules_to_save.values()]
    return [head]


def _lora_config(model: PreTrainedModel, config: FKTOConfig) -> LoraConfig:
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    both = {name.split(".")[-1] for name, module in model.named_modules() if module is head or module is embeddings}
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=config.lora_targets,
        modules_to_save=config.lora_modules_to_save,
        use_dora=config.use_dora,
        # One matrix stays one: trained apart, the two would no longer fit the model's configuration.
        ensure_weight_tying=head.weight is embeddings.weight and not both.isdisjoint(config.lora_modules_to_save or []),
    )
