"""What the hardware is, what is made of it, and why: decided in one pure function, said out loud.

The recurrent kernel, and whether XLA compiles it, is chosen by each layer (see
:class:`kerasseq.layers.RecurrentStack`), with ``device.kernel`` and ``device.xla`` passed on to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kerasseq.config import Settings, setting
from kerasseq.errors import UserError
from kerasseq.kernels.cudnn_version import cudnn_version, too_old

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]

XLA: dict[str, Any] = {"auto": "auto", "on": True, "off": False}


@dataclass(frozen=True)
class DeviceSettings(Settings):
    """Hardware and numerics."""

    threads: int = setting(0, ge=0)
    """CPU threads; 0 means all cores that the process may use."""
    precision: Precision = "auto"
    """Arithmetic: auto is mixed precision where a GPU has it in hardware, else float32."""
    kernel: Literal["auto", "cudnn", "closed_form", "loop"] = "auto"
    """Recurrent kernel; auto takes the fastest that is right for the device and the layer."""
    xla: Literal["auto", "on", "off"] = "auto"
    """Whether XLA compiles the closed-form kernel; auto does so where it was measured faster."""
    memory_growth: bool = True
    """Whether TensorFlow takes a GPU's memory as needed, and not all of it at once."""
    strategy: Literal["auto", "one_device", "mirrored"] = "auto"
    """Copies of the model that train side by side: auto makes one on each GPU (MirroredStrategy),
    and with TF_CONFIG in the environment on every machine (MultiWorkerMirroredStrategy)."""
    replicas: int = setting(0, ge=0)
    """Copies of the model on this machine; 0 means one on each GPU. Without a GPU, more than one
    share the CPU: slower than one, and the same arithmetic as on as many GPUs."""
    deterministic: bool = False
    """Bit-for-bit repeatable training: same seed, same weights. Some GPU ops become slower."""

    def of_layers(self, portable: bool) -> dict[str, Any]:
        """The arguments of recurrent layers that choose their kernel.

        Args:
            portable: whether the layer must run on any device, as in an export.
        """
        return {
            "kernel": "auto" if portable else self.kernel,
            "use_cudnn": False if portable else "auto",
            "xla": XLA[self.xla],
        }


@dataclass(frozen=True)
class Gpu:
    """A GPU as TensorFlow describes it."""

    name: str
    compute_capability: tuple[int, int]


@dataclass(frozen=True)
class Hardware:
    """What a process can use.

    Attributes:
        cores: of the CPU.
        gpus: of this machine.
        cudnn: version of the library, if there is one.
        workers: machines that train together, this one counted.
        worker: which of them this is, from 0.
    """

    cores: int
    gpus: tuple[Gpu, ...] = ()
    cudnn: tuple[int, int, int] | None = None
    workers: int = 1
    worker: int = 0


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
    memory_growth: bool
    strategy: Literal["one_device", "mirrored", "multi_worker"]
    replicas: int
    workers: int
    worker: int
    decisions: tuple[Decision, ...]

    @property
    def chief(self) -> bool:
        """Whether this process writes: of several workers, the first."""
        return self.worker == 0

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
    if settings.kernel == "cudnn" and (old := too_old(hardware.cudnn)):
        raise UserError(f"device.kernel: cudnn cannot be used: {old}")
    strategy, replicas, why_strategy = _strategy(hardware, settings)
    policy, why_policy = _policy(hardware, settings, strategy)
    threads = settings.threads or hardware.cores
    decisions = (
        Decision(
            "CPU",
            f"{threads} threads",
            "as set" if settings.threads else f"all {hardware.cores} usable cores",
        ),
        _gpu(hardware, settings, replicas),
        _cudnn(hardware, settings, policy),
        Decision("precision", policy, why_policy),
        _xla(hardware, settings),
        Decision("strategy", f"{strategy}, {replicas} {_plural(replicas)}", why_strategy),
        Decision("determinism", "on" if settings.deterministic else "off", "device.deterministic"),
    )
    return DevicePlan(
        threads,
        policy,
        settings.deterministic,
        settings.memory_growth,
        strategy,
        replicas,
        hardware.workers,
        hardware.worker,
        decisions,
    )


def _plural(replicas: int) -> str:
    return "replica" if replicas == 1 else "replicas"


def _gpu(hardware: Hardware, settings: DeviceSettings, replicas: int) -> Decision:
    gpus = hardware.gpus
    if not gpus:
        return Decision("GPU", "none", "TensorFlow sees no GPU")
    names = [
        f"{gpu.name} ({gpu.compute_capability[0]}.{gpu.compute_capability[1]})" for gpu in gpus
    ]
    shown = names[0] if len(gpus) == 1 else f"{len(gpus)}: {', '.join(dict.fromkeys(names))}"
    here = replicas // hardware.workers
    used = f"the first {here} used; " if here < len(gpus) else ""
    memory = (
        "memory grows as needed"
        if settings.memory_growth
        else "all memory taken at once, as set (device.memory_growth)"
    )
    return Decision("GPU", shown, f"{used}{memory}")


def _cudnn(hardware: Hardware, settings: DeviceSettings, policy: str) -> Decision:
    """Whether layers may take it; each layer's own line says whether it does."""
    if not hardware.gpus:
        return Decision("cuDNN", "no", "no GPU")
    if old := too_old(hardware.cudnn):
        return Decision("cuDNN", "no", old)
    if settings.kernel not in ("auto", "cudnn"):
        return Decision("cuDNN", "no", f"device.kernel is {settings.kernel}")
    if policy == "mixed_bfloat16":
        return Decision("cuDNN", "no", "it has no bfloat16: device.precision=float32 allows it")
    version = "unknown" if hardware.cudnn is None else ".".join(map(str, hardware.cudnn))
    return Decision("cuDNN", "for layers of its form", f"version {version}")


def _xla(hardware: Hardware, settings: DeviceSettings) -> Decision:
    if settings.xla != "auto":
        return Decision("XLA", settings.xla, "as set")
    if hardware.gpus:
        return Decision("XLA", "off", "the closed-form kernel was measured on CPUs only")
    return Decision("XLA", "for layers of 32 to 256 units", "measured faster there on CPUs")


def _strategy(
    hardware: Hardware, settings: DeviceSettings
) -> tuple[Literal["one_device", "mirrored", "multi_worker"], int, str]:
    """The strategy, its replicas on all machines, and why."""
    gpus, wanted = len(hardware.gpus), settings.replicas
    if gpus and wanted > gpus:
        raise UserError(f"device.replicas: {wanted} of them, and TensorFlow sees {gpus} GPUs")
    if hardware.workers > 1 and not gpus and wanted > 1:
        raise UserError("device.replicas: a worker without GPUs has one; start more workers")
    if settings.strategy == "one_device":
        if wanted > 1:
            raise UserError(f"device.replicas: {wanted} of them do not go with one_device")
        if hardware.workers > 1:
            raise UserError(
                f"device.strategy: one_device does not go with TF_CONFIG's {hardware.workers} "
                "workers"
            )
        return "one_device", 1, "as set"
    here = wanted or max(1, gpus)
    if hardware.workers > 1:
        this = f"worker {hardware.worker} of TF_CONFIG's {hardware.workers}"
        return "multi_worker", here * hardware.workers, f"{this}; {here} a worker"
    if here > 1 or settings.strategy == "mirrored":
        where = "one a GPU" if gpus else "sharing the CPU"
        return "mirrored", here, f"{where}{', as set' if wanted else ''}"
    return "one_device", 1, "one GPU" if gpus else "no GPU"


def _policy(hardware: Hardware, settings: DeviceSettings, strategy: str) -> tuple[str, str]:
    precision, several = settings.precision, strategy != "one_device"
    if precision == "mixed_float16" and several:
        raise UserError(
            "device.precision: mixed_float16 scales the loss, which is for one device only: take "
            "float32 or mixed_bfloat16, or device.strategy=one_device"
        )
    if precision != "auto":
        return precision, "as set"
    if not hardware.gpus:
        return "float32", "a CPU; mixed_bfloat16 is faster on one that multiplies bfloat16"
    oldest = min(gpu.compute_capability for gpu in hardware.gpus)
    shown = f"compute capability {oldest[0]}.{oldest[1]}"
    if oldest < (7, 0):
        return "float32", f"{shown} has no tensor cores"
    cudnn = not too_old(hardware.cudnn) and settings.kernel in ("auto", "cudnn")
    if oldest >= (8, 0) and not cudnn:
        return "mixed_bfloat16", f"{shown} has bfloat16 in hardware"
    if several:
        lacking = "cuDNN" if oldest >= (8, 0) else shown
        return "float32", f"{lacking} has no bfloat16, and float16 is for one device only"
    if cudnn:
        return "mixed_float16", f"{shown} has it in hardware, and so has cuDNN; the loss is scaled"
    return "mixed_float16", f"{shown} has it in hardware; the loss is scaled"


def usable_cores() -> int:
    """Cores that this process may run on, which in a container can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def detect() -> Hardware:
    """The hardware that TensorFlow sees, and the machines of ``TF_CONFIG``."""
    import tensorflow as tf

    gpus = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        gpus.append(
            Gpu(details.get("device_name", device.name), details.get("compute_capability", (0, 0)))
        )
    version = cudnn_version() if gpus else None
    return Hardware(usable_cores(), tuple(gpus), version, *cluster(os.environ))


def cluster(environment: Mapping[str, str]) -> tuple[int, int]:
    """How many workers ``TF_CONFIG`` names, and which of them this process is.

    Raises:
        UserError: if it is not what TensorFlow reads.
    """
    text = environment.get("TF_CONFIG")
    if not text:
        return 1, 0
    try:
        config = json.loads(text)
        roles, task = config["cluster"], config["task"]
        others = set(roles) - {"worker"}
        count, index = len(roles["worker"]), int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"TF_CONFIG has no cluster of workers and task: {error}") from None
    if others or task.get("type") != "worker" or not 0 <= index < count:
        raise UserError(
            f"TF_CONFIG: a cluster of workers only, and a task that is one of them, is needed: "
            f"{text}"
        )
    return count, index


def plan_alone(hardware: Hardware, settings: DeviceSettings) -> DevicePlan:
    """The plan of what one device does, such as evaluation, whatever trained the model."""
    settings = dataclasses.replace(settings, strategy="one_device", replicas=0, kernel="auto")
    return plan(dataclasses.replace(hardware, workers=1, worker=0), settings)


def hide_gpus() -> None:
    """Leaves the GPUs to other processes."""
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # it has them already
        tf.config.set_visible_devices([], "GPU")


def apply(chosen: DevicePlan) -> None:
    """Puts a plan into effect. All but precision needs a process that has run no op yet; the
    strategy is what :class:`kerasseq.training.replicas.Replicas` makes of it."""
    import keras
    import tensorflow as tf

    here = chosen.replicas // chosen.workers
    try:
        tf.config.threading.set_intra_op_parallelism_threads(chosen.threads)
        tf.config.threading.set_inter_op_parallelism_threads(chosen.threads)
        gpus = tf.config.list_physical_devices("GPU")
        tf.config.set_visible_devices(gpus[:here], "GPU")
        for device in gpus[:here]:
            tf.config.experimental.set_memory_growth(device, chosen.memory_growth)
        if chosen.strategy == "mirrored" and not gpus:
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0],
                [tf.config.LogicalDeviceConfiguration() for _ in range(here)],
            )
    except RuntimeError:
        pass  # a second run in one process keeps the first one's devices
    if chosen.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_dtype_policy(chosen.policy)
