"""Under torch, tensors and arrays mix in the tests as they do on the other backends."""

import keras
import numpy as np

if keras.backend.backend() == "torch":
    import torch

    def _array(self, dtype=None, copy=None):
        found = self.detach().cpu().numpy().copy()  # that of a tensor with a gradient, too
        return found if dtype is None else found.astype(dtype)

    def _times(self, other):
        return self * (torch.as_tensor(other) if isinstance(other, np.ndarray) else other)

    torch.Tensor.__array__ = _array
    torch.Tensor.__rmul__ = _times

    def pytest_configure(config):
        for message in ("__array_wrap__ must accept", "Converting a tensor with requires_grad"):
            config.addinivalue_line("filterwarnings", f"ignore:{message}")
