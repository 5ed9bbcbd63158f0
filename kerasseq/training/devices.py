"""What the hardware is, what is made of it, and why: decided in one pure function, said out loud.

The recurrent kernel is chosen by each layer (see :class:`kerasseq.layers.RecurrentStack`), with the
setting ``device.kernel`` passed on to it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from kerasseq.config import Settings, setting
from kerasseq.errors import UserError

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]


@dataclass(frozen=True)
class DeviceSettings(Settings):
    """Hardware and numerics."""

    threads: int = setting(0, ge=0)
    """CPU threads; 0 means all cores that the process may use."""
    precision: Precision = "auto"
    """Arithmetic: auto is mixed precision where a GPU has it in hardware, else float32."""
    kernel: Literal["auto", "cudnn", "closed_form", "loop"] = "auto"
    """Recurrent kernel; auto takes the fastest that is right for the device and the layer."""
    deterministic: bool = False
    """Bit-for-bit repeatable training: same seed, same weights. Some GPU ops become slower."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as TensorFlow describes it."""

    name: str
    compute_capability: tuple[int, int]


@dataclass(frozen=True)
class Hardware:
    """What a process can use."""

    cores: int
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class Decision:
    """One line of a device plan."""

    what: str
    choice: str
    why: str


@dataclass(frozen=True)
class DevicePlan:
    """How a run uses the hardware."""

    threads: int
    policy: str
    deterministic: bool
    decisions: tuple[Decision, ...]

    def lines(self) -> list[str]:
        """The plan as text, a decision a line."""
        return [f"{d.what}: {d.choice} ({d.why})" for d in self.decisions]


def plan(hardware: Hardware, settings: DeviceSettings) -> DevicePlan:
    """Decides how to use some hardware. Pure: it asks no device anything.

    Raises:
        UserError: if the settings ask for what the hardware does not have.
    """
    if settings.kernel == "cudnn" and not hardware.gpus:
        raise UserError("device.kernel: cudnn needs a GPU, and TensorFlow sees none")
    threads = settings.threads or hardware.cores
    decisions = [
        Decision(
            "CPU",
            f"{threads} threads",
            "as set" if settings.threads else f"all {hardware.cores} usable cores",
        )
    ]
    if hardware.gpus:
        names = ", ".join(gpu.name for gpu in hardware.gpus)
        why = "memory grows as needed"
        if len(hardware.gpus) > 1:
            why += f"; the first of {len(hardware.gpus)} is used"
        decisions.append(Decision("GPU", names, why))
    else:
        decisions.append(Decision("GPU", "none", "TensorFlow sees no GPU"))
    policy, why = _policy(hardware, settings.precision)
    decisions.append(Decision("precision", policy, why))
    decisions.append(
        Decision(
            "determinism",
            "on" if settings.deterministic else "off",
            "device.deterministic",
        )
    )
    return DevicePlan(threads, policy, settings.deterministic, tuple(decisions))


def _policy(hardware: Hardware, precision: Precision) -> tuple[str, str]:
    if precision != "auto":
        return precision, "as set"
    if not hardware.gpus:
        return "float32", "a CPU; mixed_bfloat16 is faster on one that multiplies bfloat16"
    oldest = min(gpu.compute_capability for gpu in hardware.gpus)
    shown = f"compute capability {oldest[0]}.{oldest[1]}"
    if oldest >= (8, 0):
        return "mixed_bfloat16", f"{shown} has bfloat16 in hardware"
    if oldest >= (7, 0):
        return "mixed_float16", f"{shown} has float16 tensor cores; the loss is scaled"
    return "float32", f"{shown} has no tensor cores"


def usable_cores() -> int:
    """Cores that this process may run on, which in a container can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def detect() -> Hardware:
    """The hardware that TensorFlow sees."""
    import tensorflow as tf

    gpus = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        gpus.append(
            Gpu(details.get("device_name", device.name), details.get("compute_capability", (0, 0)))
        )
    return Hardware(usable_cores(), tuple(gpus))


def apply(chosen: DevicePlan) -> None:
    """Puts a plan into effect. Threads and memory growth need a process that has run no op yet."""
    import keras
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(chosen.threads)
        tf.config.threading.set_inter_op_parallelism_threads(chosen.threads)
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
    except RuntimeError:
        pass  # a second run in one process keeps the first one's devices
    if chosen.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_dtype_policy(chosen.policy)
