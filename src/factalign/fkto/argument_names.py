"""The names that `training_arguments` may hold, and what decides the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from difflib import get_close_matches

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
    from transformers import TrainingArguments  # loads torch

    valid = {field.name for field in dataclasses.fields(TrainingArguments) if field.init} - DECIDED.keys()
    for name in names:
        if name in DECIDED:
            raise ValueError(f"training_arguments: {name} is decided by {DECIDED[name]}")
        if name not in valid:
            near = get_close_matches(name, [*valid, *DECIDED]) or sorted(valid)
            raise ValueError(f"training_arguments: transformers has no {name}; did you mean {', '.join(near)}?")
