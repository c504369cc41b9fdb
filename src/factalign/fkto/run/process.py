"""The process that trains: its memory, and its end when the process that started it is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

PARENT_PIPE = "FACTALIGN_PARENT_PIPE"


def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of returning it to the kernel.

    A step on the CPU frees and takes the same large buffers thousands of times; mapping and clearing their pages anew
    costs about a tenth of the time.
    """
    if sys.platform != "linux":
        return
    trim_threshold, mmap_max = -1, -4  # names of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


def exit_with_parent() -> None:
    """End this process group when the process that started the training is gone, even by a signal it cannot catch.

    That process holds the other end of a pipe, which is the standard input here (launchers hand this on, and close
    other descriptors), and names the pipe in the environment. Where a launcher has put something else there, its end
    says nothing.
    """
    try:
        number = os.fstat(0).st_ino
    except OSError:
        return
    if os.environ.get(PARENT_PIPE) != str(number):
        return

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="exit_with_parent", daemon=True).start()
