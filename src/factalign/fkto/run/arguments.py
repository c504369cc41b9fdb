"""The configuration in the words of transformers."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

import torch
from transformers import TrainingArguments

from factalign.fkto.config import FKTOConfig
from factalign.fkto.run.sharding import uses_fsdp

logger = logging.getLogger(__name__)

SETTINGS = {
    "per_device_train_batch_size": "micro_batch_size", "auto_find_batch_size": "micro_batch_size",
    "gradient_accumulation_steps": "batch_size", "num_train_epochs": "epochs", "max_steps": "max_steps",
    "learning_rate": "learning_rate", "lr_scheduler_type": "scheduler", "warmup_steps": "warmup_ratio",
    "optim": "optimizer", "weight_decay": "weight_decay", "max_grad_norm": "max_grad_norm",
    "bf16": "dtype", "fp16": "dtype", "bf16_full_eval": "dtype", "fp16_full_eval": "dtype",
    "activation_checkpointing": "checkpoint_activations_above",
    "activation_checkpointing_kwargs": "checkpoint_activations_above",
    "gradient_checkpointing": "checkpoint_activations_above",
    "gradient_checkpointing_kwargs": "checkpoint_activations_above",
    "logging_steps": "logging_steps", "logging_strategy": "logging_steps", "report_to": "report_to",
    "eval_steps": "eval_steps", "eval_strategy": "eval_steps",
    "save_steps": "save_steps", "save_strategy": "save_steps", "save_total_limit": "save_total_limit",
    "resume_from_checkpoint": "resume", "load_best_model_at_end": "best_metric",
    "metric_for_best_model": "best_metric", "greater_is_better": "best_metric",
}  # fmt: skip
"""Arguments of transformers, and the setting of `FKTOConfig` that stands in their place."""

DECIDED = {name: f"the setting {setting}" for name, setting in SETTINGS.items()} | {
    "output_dir": "output_dir of the trainer (--output-dir)",
    "seed": "seed of the trainer (--seed)",
    "data_seed": "seed of the trainer (--seed)",
    "hub_token": "HF_TOKEN in the environment, or `hf auth login`: settings are written to files",
    "hub_strategy": "save_result, which pushes what it has written; checkpoints stay here",
    "hub_always_push": "save_result, which pushes what it has written; checkpoints stay here",
    "use_cpu": "the devices that there are (CUDA_VISIBLE_DEVICES)",
    **dict.fromkeys(
        ("accelerator_config", "parallelism_config", "fsdp", "fsdp_config", "deepspeed", "local_rank"),
        "the profile that accelerate launches with",
    ),
    **dict.fromkeys(
        (
            "average_tokens_across_devices", "batch_eval_metrics", "dataloader_drop_last", "dataloader_in_order",
            "dataloader_multiprocessing_context", "dataloader_pin_memory", "ddp_broadcast_buffers",
            "ddp_find_unused_parameters", "disable_tqdm", "do_eval", "do_predict", "do_train",
            "eval_accumulation_steps", "eval_do_concat_batches", "eval_use_gather_object", "ignore_data_skip",
            "include_for_metrics", "include_num_input_tokens_seen", "label_names", "label_smoothing_factor",
            "length_column_name", "liger_kernel_config", "logging_nan_inf_filter", "neftune_noise_alpha",
            "per_device_eval_batch_size", "prediction_loss_only", "remove_unused_columns",
            "restore_callback_states_from_checkpoint", "save_only_model", "train_sampling_strategy", "use_cache",
            "use_liger_kernel",
        ),
        "the trainer itself, which knows its rows, its objective and its checkpoints",
    ),
}  # fmt: skip
"""Arguments that `training_arguments` may not hold, and what decides them."""

UNDECIDING = {
    "dataloader_num_workers", "dataloader_persistent_workers", "dataloader_prefetch_factor", "ddp_backend",
    "ddp_timeout", "debug", "enable_jit_checkpoint", "hub_model_id", "hub_private_repo", "hub_revision", "log_level",
    "log_level_replica", "log_on_each_node", "logging_first_step", "project", "push_to_hub", "run_name",
    "save_on_each_node", "skip_memory_metrics", "torch_empty_cache_steps", "trackio_bucket_id", "trackio_space_id",
    "trackio_static_space_id",
}  # fmt: skip
"""Arguments that a run may change when it continues: they have no part in its result."""


def check_names(names: Iterable[str]) -> None:
    """Refuse what `training_arguments` may not hold.

    Raises:
        ValueError: A name is decided elsewhere, or transformers does not know it; the message says what to use.
    """
    valid = {field.name for field in dataclasses.fields(TrainingArguments) if field.init} - DECIDED.keys()
    for name in names:
        if name in DECIDED:
            raise ValueError(f"training_arguments: {name} is decided by {DECIDED[name]}")
        if name not in valid:
            near = get_close_matches(name, [*valid, *DECIDED]) or sorted(valid)
            raise ValueError(f"training_arguments: transformers has no {name}; did you mean {', '.join(near)}?")


def training_arguments(config: FKTOConfig, output_dir: Path, seed: int) -> TrainingArguments:
    """What `transformers.Trainer` is told; the accumulation of gradients follows from the plan later.

    Old checkpoints are dropped by `checkpoints`, because transformers would drop those of other runs as well.
    """
    arguments = TrainingArguments(
        output_dir=str(output_dir),
        per_device_train_batch_size=config.micro_batch_size,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        learning_rate=config.effective_learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=config.warmup_ratio,
        optim=config.optimizer,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        logging_steps=config.logging_steps,
        logging_nan_inf_filter=False,
        save_strategy="steps" if config.save_steps else "no",
        save_steps=config.save_steps or 500,
        eval_strategy="steps" if config.eval_steps else "no",
        eval_steps=config.eval_steps,
        load_best_model_at_end=config.best_metric is not None,
        metric_for_best_model=config.best_metric,
        greater_is_better=config.greater_is_better,
        report_to=config.report_to or "none",
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        disable_tqdm=True,
        remove_unused_columns=False,
        hub_strategy="end",
        **config.training_arguments,
        # Otherwise FSDP keeps the gradients of all weights on every rank until the last micro-batch of a step.
        accelerator_config={"gradient_accumulation_kwargs": {"sync_each_batch": True}} if uses_fsdp() else None,
    )
    use_one_device(arguments)
    return arguments


def use_one_device(arguments: TrainingArguments) -> None:
    """Keep transformers from `nn.DataParallel`, which it takes where one process sees several devices."""
    if arguments.n_gpu > 1:
        logger.warning(
            "%d devices are visible, but one process was started, which uses the first; to use all, start the training "
            "through `accelerate launch` with a profile of conf/base/accelerate",
            arguments.n_gpu,
        )
        arguments._n_gpu = 1
