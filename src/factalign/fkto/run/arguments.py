"""The configuration in the words of transformers."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from transformers import TrainingArguments

from factalign.fkto.config import FKTOConfig
from factalign.fkto.run.sharding import uses_fsdp

logger = logging.getLogger(__name__)


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
