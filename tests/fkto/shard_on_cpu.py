"""The command line, sharded by FSDP2 on the CPU.

accelerate shards on accelerators only: it reads the variables of an FSDP profile where it finds several GPUs. Two CPU
ranks are told to be such; all else (the process group, the device, the wrapped model, the gathered weights) is real.
"""

from __future__ import annotations

import sys
from typing import Any

from accelerate.state import PartialState
from accelerate.utils import DistributedType

from factalign.fkto.__main__ import main

started = PartialState.__init__


def start(self: PartialState, *args: Any, **kwargs: Any) -> None:
    started(self, *args, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


if __name__ == "__main__":
    PartialState.__init__ = start
    sys.exit(main(sys.argv[1:]))
