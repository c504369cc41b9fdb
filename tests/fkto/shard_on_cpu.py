"""The command line, sharded by FSDP2 on the CPU.

accelerate shards on accelerators only: it reads the variables of an FSDP profile where it finds several GPUs. Two CPU
ranks are told to be such; all else (the process group, the device, the wrapped model, the gathered weights) is real.
Each rank writes `MANIFEST.RANK`: how many weights it held before they were shared, and in which type they travel.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from accelerate import accelerator
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from torch import nn

from factalign.fkto.__main__ import main
from factalign.fkto.run import sharding

started, give_addresses, shard = PartialState.__init__, sharding.give_addresses, accelerator.fsdp2_prepare_model
told: dict[str, Any] = {}


def start(self: PartialState, *args: Any, **kwargs: Any) -> None:
    started(self, *args, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


def count_and_give_addresses(model: nn.Module) -> None:
    told["held"] = sum(parameter.numel() for parameter in model.parameters() if not parameter.is_meta)
    give_addresses(model)


def shard_and_tell(self: Any, model: nn.Module) -> nn.Module:
    sharded = shard(self, model)
    told["travel_as"] = str(sharded._get_fsdp_state()._mp_policy.param_dtype)
    Path(f"{sys.argv[1]}.{os.environ['RANK']}").write_text(json.dumps(told))
    return sharded


if __name__ == "__main__":
    PartialState.__init__ = start
    sharding.give_addresses = count_and_give_addresses
    accelerator.fsdp2_prepare_model = shard_and_tell
    sys.exit(main(sys.argv[1:]))
