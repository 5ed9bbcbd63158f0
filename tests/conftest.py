"""What holds for every test: no GPU, and how much Hypothesis tries."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from hypothesis import settings

# a tenth before a commit, all of them in the gate: --hypothesis-profile=full
settings.register_profile("quick", max_examples=10, deadline=None)
settings.register_profile("full", max_examples=100, deadline=None)
settings.load_profile("quick")


def pytest_collection_finish() -> None:
    """What was imported stays; full collections, one of which ends each trial, need not see it."""
    gc.collect()
    gc.freeze()
