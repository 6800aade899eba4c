"""What this machine offers: device, precision, threads, seeds, memory and ZeroGPU.

The only reader of our environment variables and the only user of `spaces`. Knows no model.

IDVID_DEVICE   cpu, cuda, cuda:1 or mps; default: the first CUDA device, else the CPU
IDVID_THREADS  CPU threads for torch; default: the cores that this process may use
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from idvid.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

_Task = TypeVar("_Task", bound="Callable[..., object]")


def device() -> torch.device:
    """The device to compute on.

    Raises:
        ModelError: If IDVID_DEVICE names a device that is not here.
    """
    import torch

    asked = os.environ.get("IDVID_DEVICE", "")
    if not asked:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(asked)
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"IDVID_DEVICE is '{asked[:20]}', which this machine does not have; "
            "set it to cpu or leave it out."
        ) from error
    return wanted


def dtype(device: torch.device) -> torch.dtype:
    """The precision to compute in: bfloat16 where the GPU has it, else float32."""
    import torch

    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has_bf16 else torch.float32


def has_fast_bf16() -> bool:
    """Whether this machine's CPU multiplies bfloat16 in hardware, about twice as fast as float32."""
    import torch

    found = torch.cpu.get_capabilities()
    return any(bool(found.get(name)) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def generator(seed: int, device: torch.device) -> torch.Generator:
    """A fresh source of randomness; nothing global is seeded."""
    import torch

    return torch.Generator(device).manual_seed(seed)


def num_threads() -> int:
    """How many CPU threads torch should use, at least 1.

    Raises:
        ModelError: If IDVID_THREADS is not a whole number from 1 to 1024.
    """
    asked = os.environ.get("IDVID_THREADS", "")
    if not asked:
        return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if not (asked.isascii() and asked.isdigit() and 1 <= int(asked) <= 1024):
        raise ModelError("IDVID_THREADS must be a whole number from 1 to 1024.")
    return int(asked)


def gpu_task(duration_s: int | Callable[..., int]) -> Callable[[_Task], _Task]:
    """Mark a function or generator that needs the GPU of a ZeroGPU Space.

    Elsewhere the function is returned unchanged. On ZeroGPU it runs in a forked worker: arguments
    and yields are pickled, so yield arrays and numbers, never paths.

    Args:
        duration_s: Seconds of GPU to reserve, or a function of the task's arguments.
    """

    def mark(task: _Task) -> _Task:
        if importlib.util.find_spec("spaces") is None:
            return task
        import spaces  # pyright: ignore[reportMissingImports]

        return spaces.GPU(duration=duration_s)(task)

    return mark


def peak_memory_bytes() -> int:
    """The most main memory that this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would go on from the parent process's peak
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
