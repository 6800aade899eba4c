"""What this machine offers, and how a model is laid out on it. Knows no model.

The only reader of our environment variables and the only user of `spaces`.
"""

from idvid.runtime.footprint import (
    GIB,
    TEXT_ENCODER,
    TRANSFORMER,
    VAE,
    AddedBytes,
    ComponentSize,
    Footprint,
    Phase,
    WeightBytes,
    gib,
    with_added,
)
from idvid.runtime.machine import (
    Machine,
    asked_model,
    device,
    dtype,
    generator,
    has_c_compiler,
    has_fast_bf16,
    is_fast_in_bf16,
    num_threads,
    peak_memory_bytes,
    sent,
    this_machine,
)
from idvid.runtime.plan import PLAN_NAMES, DevicePlan, make_plan, step_down
from idvid.runtime.recovery import give_back, run_with_plan
from idvid.runtime.zerogpu import (
    MAX_RESERVED_S,
    Pace,
    expected_seconds,
    gpu_seconds,
    gpu_task,
    on_zero_gpu,
)

__all__ = [
    "GIB",
    "MAX_RESERVED_S",
    "PLAN_NAMES",
    "TEXT_ENCODER",
    "TRANSFORMER",
    "VAE",
    "AddedBytes",
    "ComponentSize",
    "DevicePlan",
    "Footprint",
    "Machine",
    "Pace",
    "Phase",
    "WeightBytes",
    "asked_model",
    "device",
    "dtype",
    "expected_seconds",
    "generator",
    "gib",
    "give_back",
    "gpu_seconds",
    "gpu_task",
    "has_c_compiler",
    "has_fast_bf16",
    "is_fast_in_bf16",
    "make_plan",
    "num_threads",
    "on_zero_gpu",
    "peak_memory_bytes",
    "run_with_plan",
    "sent",
    "step_down",
    "this_machine",
    "with_added",
]
