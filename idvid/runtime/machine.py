"""What this machine offers: device, precision, threads, seeds and memory. Knows no model.

IDVID_DEVICE   cpu, cuda, cuda:1 or mps; default: the first CUDA device, else the CPU
IDVID_MODEL    the model to load at first, see `asked_model`
IDVID_THREADS  CPU threads for torch; default: the cores that this process may use
CC             the C compiler; default: gcc or clang
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.errors import ModelError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is free for a model."""

    gpu_free: tuple[int, ...]  # free bytes of each GPU; () without one
    ram_free: int  # bytes
    cpu_precision: str = "float32"  # what the CPU computes in: float32 or bfloat16


def this_machine() -> Machine:
    """What is free here and now.

    Raises:
        ModelError: If IDVID_DEVICE names a device that is not here.
    """
    import torch

    gpus = range(torch.cuda.device_count()) if device().type == "cuda" else ()
    return Machine(
        gpu_free=tuple(torch.cuda.mem_get_info(gpu)[0] for gpu in gpus),
        ram_free=_ram_free(),
        cpu_precision="bfloat16" if has_fast_bf16() else "float32",
    )


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


def asked_model() -> str | None:
    """The model that this machine's owner chose: a name of the menu, a folder or a Hub name."""
    return os.environ.get("IDVID_MODEL", "").strip() or None


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


def is_fast_in_bf16(device: str) -> bool:
    """Whether bfloat16 products pay on a device; without hardware for them a CPU needs 80 times as long."""
    return device != "cpu" or has_fast_bf16()


def sent(values: object, device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Numbers in main memory to a device, without waiting for what a GPU is still doing.

    `torch.tensor(..., device="cuda")` waits, and a step of training that does so ten times leaves
    the GPU idle in between.
    """
    import torch

    tensor = torch.as_tensor(values, dtype=dtype)
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def has_c_compiler() -> bool:
    """Whether Triton, which makes compiled kernels for GPUs, finds the compiler that it needs."""
    return bool(os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang"))


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


def peak_memory_bytes() -> int:
    """The most main memory that this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would go on from the parent process's peak
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _ram_free() -> int:
    """Main memory that this process may still take: the machine's, within its container's limit."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    line = next(x for x in meminfo.read_text().splitlines() if x.startswith("MemAvailable:"))
    free = int(line.split()[1]) * 1024
    limit, used = (Path("/sys/fs/cgroup") / f"memory.{name}" for name in ("max", "current"))
    if limit.exists() and (asked := limit.read_text().strip()) != "max":
        free = min(free, max(0, int(asked) - int(used.read_text())))
    return free
