"""Which cuDNN there is. TensorFlow is imported only when asked: a device plan needs no more."""

import ctypes

OLDEST_CUDNN = (8, 9, 2)
"""Earlier ones cannot be trusted with masked sequences."""


def cudnn_version() -> tuple[int, int, int] | None:
    """The version of the cuDNN that TensorFlow loads; None if there is none to ask."""
    import tensorflow as tf

    major = str(tf.sysconfig.get_build_info().get("cudnn_version", "9")).split(".")[0]
    try:
        number = ctypes.CDLL(f"libcudnn.so.{major}").cudnnGetVersion()
    except (OSError, AttributeError):
        return None
    return numbered(number)


def numbered(number: int) -> tuple[int, int, int]:
    """A version from what ``cudnnGetVersion`` returns.

    >>> numbered(8902), numbered(90300)
    ((8, 9, 2), (9, 3, 0))
    """
    thousands = 10_000 if number >= 90_000 else 1_000
    return number // thousands, number % thousands // 100, number % 100


def too_old(version: tuple[int, ...] | None) -> str:
    """Why recurrent layers with masks cannot use a version; empty if they can."""
    if version is None or version >= OLDEST_CUDNN:
        return ""
    found, needed = (".".join(map(str, numbers)) for numbers in (version, OLDEST_CUDNN))
    return f"cuDNN {found} is older than {needed}, the first that is right for masked sequences"
