"""The processes of a run, its ranks, and what one does for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from accelerate import PartialState

T = TypeVar("T")


def join_ranks() -> PartialState:
    """This process among those that a launcher started, which can speak with each other from now on."""
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def from_main(compute: Callable[[], T]) -> T:
    """What `compute` gives on the first rank, on all ranks; alone: what it gives here.

    Raises:
        ValueError: It raised something there; the first rank raises that itself.
    """
    from accelerate.utils import broadcast_object_list

    state = join_ranks()
    if state.num_processes == 1:
        return compute()
    message: list[Any] = [None, None]
    try:
        if state.is_main_process:
            message[0] = compute()
    except Exception as error:
        message[1] = f"{type(error).__name__}: {error}"
        raise
    finally:
        broadcast_object_list(message)
    result, problem = message
    if problem is not None:
        raise ValueError(f"the first rank ended with {problem}")
    return result
