"""Which kernel runs a recurrent layer, and why."""

from typing import Any, NamedTuple

import keras

from kerasseq.kernels.cudnn_version import cudnn_version, too_old
from kerasseq.layers._checks import check_choice

KERNELS = ("auto", "cudnn", "closed_form", "loop")
XLA_CHOICES = ("auto", True, False)
XLA_UNITS = (32, 256)


class KernelChoice(NamedTuple):
    """A kernel and the reason for it.

    Attributes:
        name: `"cudnn"`, `"closed_form"` or `"loop"`.
        reason: why, in words.
        xla: whether the closed-form kernel is compiled with XLA, shape by shape.
    """

    name: str
    reason: str
    xla: bool = False

    def __str__(self) -> str:
        return f"{self.name}{' (XLA)' if self.xla else ''}: {self.reason}"


def check_kernel(layer: str, kernel: Any, use_cudnn: Any, xla: Any) -> None:
    """Raise a `ValueError` unless these settings are known ones that go together."""
    check_choice(layer, "kernel", kernel, KERNELS)
    check_choice(layer, "use_cudnn", use_cudnn, ("auto", True, False))
    check_choice(layer, "xla", xla, XLA_CHOICES)
    if (use_cudnn is False and kernel == "cudnn") or (
        use_cudnn is True and kernel in ("closed_form", "loop")
    ):
        raise ValueError(
            f"{layer}: `use_cudnn` and `kernel` contradict each other. "
            f"Received: use_cudnn={use_cudnn}, kernel={kernel!r}"
        )


def choose_kernel(stack: Any) -> KernelChoice:
    """The kernel for a `RecurrentStack` on this backend and device.

    Raises:
        ValueError: a kernel was asked for by name that cannot run here.
    """
    backend = keras.backend.backend()
    special = _special(stack)
    fused = _not_fused(backend) or special
    cudnn = (
        _not_cudnn(stack, backend)
        or special
        or ("recurrent_dropout has no cuDNN form" if stack.recurrent_dropout else "")
    )
    wanted = "cudnn" if stack.use_cudnn is True else stack.kernel
    if wanted == "cudnn" and cudnn:
        raise ValueError(
            f"RecurrentStack: {'use_cudnn=True' if stack.use_cudnn is True else 'kernel=`cudnn`'}"
            f" cannot be used: {cudnn}. Expected kernel='auto', which picks what can."
        )
    if wanted == "closed_form" and fused:
        raise ValueError(
            f"RecurrentStack: kernel='closed_form' cannot be used: {fused}. Expected "
            "kernel='auto' or 'loop'."
        )
    if wanted == "auto":
        wanted = "cudnn" if not cudnn else "closed_form" if not fused else "loop"
        reasons = {
            "cudnn": "a GPU is present and the settings are those of cuDNN",
            "closed_form": f"hand-written backward pass; not cuDNN: {cudnn}",
            "loop": f"step by step: {fused}",
        }
        reason = reasons[wanted]
    else:
        reason = "asked for"
    if wanted != "closed_form":
        return KernelChoice(wanted, reason)
    xla, why = _choose_xla(stack)
    return KernelChoice(wanted, f"{reason}; {why}", xla)


def _choose_xla(stack: Any) -> tuple[bool, str]:
    """Whether the closed-form kernel's training step is compiled, and why.

    What is compiled is a chunk of steps for a batch size and a width, whatever the lengths; it
    takes 1 to 3 seconds for each batch size.
    """
    if stack.xla != "auto":
        return stack.xla, f"xla={stack.xla} was asked for"
    low, high = XLA_UNITS
    if stack.units < low:
        return False, f"not compiled: under {low} units compiling is not worth its seconds"
    if stack.units > high:
        return False, f"not compiled: above {high} units XLA's products are the slower ones"
    if _gpu_present():
        return False, "not compiled: measured on CPUs only"
    return True, f"compiled once a batch size: {low} to {high} units were faster so on CPUs"


def _special(stack: Any) -> str:
    """What only the loop over the cell's own equations knows."""
    if stack.custom_cell:
        return "the cell was given as a layer"
    for name in ("layer_norm", "coupled_gates", "zoneout"):
        if getattr(stack, name):
            return f"{name} has only the step-by-step form"
    if stack.activation is not keras.activations.tanh:
        return "only tanh has a hand-written form"
    if stack.recurrent_activation is not keras.activations.sigmoid:
        return "only sigmoid gates have a hand-written form"
    return ""


def _not_fused(backend: str) -> str:
    if backend != "tensorflow":
        return f"the closed-form kernels are for TensorFlow, the backend is {backend}"
    return ""


def _not_cudnn(stack: Any, backend: str) -> str:
    if stack.use_cudnn is False:
        return "use_cudnn=False"
    if backend != "tensorflow":
        return f"the backend is {backend}"
    if stack.cell == "simple_rnn":
        return "a simple recurrent cell has no cuDNN form here"
    if stack.cell == "gru" and not stack.reset_after:
        return "cuDNN knows the reset-after GRU only"
    if stack.compute_dtype not in ("float16", "float32"):
        return f"cuDNN has no {stack.compute_dtype}"
    if not _gpu_present():
        return "no GPU"
    return too_old(cudnn_version())


def _gpu_present() -> bool:
    return bool(keras.distribution.list_devices("gpu"))
