import itertools

import numpy as np
import pytest

from kerasseq.training.schedule import learning_rate


@pytest.mark.parametrize("decay", ["none", "linear", "cosine"])
def test_rises_to_the_peak_then_falls(decay):
    rates = [learning_rate(s, peak=2.0, total=100, warmup=10, decay=decay) for s in range(100)]
    assert np.allclose(rates[:10], np.linspace(0.2, 2.0, 10))
    assert max(rates) == 2.0
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[-1] == 2.0 if decay == "none" else rates[-1] < 0.05


def test_cosine_is_half_way_at_half_time():
    assert learning_rate(50, peak=1.0, total=100, decay="cosine") == pytest.approx(0.5)
