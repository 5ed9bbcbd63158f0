"""One step of a loop over time, and its products, which the loop may take in a way of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from keras import ops

# step(states, [x[t] for each of the loop's tensors]) -> states
Step = Callable[[list[Any], list[Any]], list[Any]]

# Products of the step that is being traced, by the identity of their kernels.
_products: list[dict[int, Callable[[Any], Any]]] = []


def product(x: Any, kernel: Any) -> Any:
    """`x kernel`, `x [..., a]`; see `kernels` of `kerasseq.kernels.scan.scan`."""
    known = _products[-1].get(id(kernel)) if _products else None
    return ops.matmul(x, kernel) if known is None else known(x)


@contextmanager
def products(by_kernel: dict[int, Callable[[Any], Any]]) -> Iterator[None]:
    """Within it `product` takes these functions, by the identity of the kernel."""
    _products.append(by_kernel)
    try:
        yield
    finally:
        _products.pop()
