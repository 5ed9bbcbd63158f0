import json
from pathlib import Path

import pytest

from kerasseq.errors import UserError
from kerasseq.kernels.cudnn_version import too_old
from kerasseq.training.devices import (
    DeviceSettings,
    Gpu,
    Hardware,
    cluster,
    plan,
    plan_alone,
)

H100, V100, P100 = Gpu("H100", (9, 0)), Gpu("V100", (7, 0)), Gpu("P100", (6, 0))
NEW, OLD = (9, 3, 0), (8, 9, 1)


def choices(hardware, **settings):
    """What was chosen, by name."""
    made = plan(hardware, DeviceSettings(**settings))
    assert all(decision.why for decision in made.decisions)
    return {decision.what: decision.choice for decision in made.decisions}


def reasons(hardware, **settings):
    made = plan(hardware, DeviceSettings(**settings))
    return {decision.what: decision.why for decision in made.decisions}


# described machine: (hardware, precision, cuDNN, XLA, strategy)
MACHINES = {
    "a CPU": (Hardware(4), "float32", "no", "for layers of 32 to 256 units",
              "one_device, 1 replica"),
    "a GPU (9.0)": (Hardware(8, (H100,), NEW), "mixed_float16", "for layers of its form", "off",
              "one_device, 1 replica"),
    "an old GPU (6.0)": (Hardware(8, (P100,), NEW), "float32", "for layers of its form", "off",
                   "one_device, 1 replica"),
    "a GPU (9.0), old cuDNN": (Hardware(8, (H100,), OLD), "mixed_bfloat16", "no", "off",
                         "one_device, 1 replica"),
    "8 GPUs (9.0)": (Hardware(64, (H100,) * 8, NEW), "float32", "for layers of its form", "off",
               "mirrored, 8 replicas"),
    "8 GPUs (7.0), old cuDNN": (Hardware(64, (V100,) * 8, OLD), "float32", "no", "off",
                          "mirrored, 8 replicas"),
    "the second of 3 machines": (Hardware(64, (H100,) * 8, NEW, 3, 1), "float32",
                                 "for layers of its form", "off", "multi_worker, 24 replicas"),
    "two machines without GPUs": (Hardware(2, (), None, 2, 0), "float32", "no",
                                  "for layers of 32 to 256 units", "multi_worker, 2 replicas"),
}  # fmt: skip


@pytest.mark.parametrize("name", MACHINES)
def test_what_is_made_of_described_machines(name):
    hardware, *expected = MACHINES[name]
    found = choices(hardware)
    assert [found[what] for what in ("precision", "cuDNN", "XLA", "strategy")] == expected
    assert found["CPU"] == f"{hardware.cores} threads"
    made = plan(hardware, DeviceSettings())
    assert made.chief is (hardware.worker == 0)


@pytest.mark.parametrize(
    ("settings", "what", "choice", "why"),
    [
        ({"threads": 3}, "CPU", "3 threads", "as set"),
        ({"precision": "float32"}, "precision", "float32", "as set"),
        ({}, "cuDNN", "for layers of its form", "version 9.3.0"),
        ({"precision": "mixed_bfloat16"}, "cuDNN", "no", "it has no bfloat16"),
        ({"kernel": "loop"}, "precision", "mixed_bfloat16", "has bfloat16 in hardware"),
        ({"kernel": "loop"}, "cuDNN", "no", "device.kernel is loop"),
        ({"xla": "on"}, "XLA", "on", "as set"),
        ({"xla": "off"}, "XLA", "off", "as set"),
        ({"memory_growth": False}, "GPU", "2: H100 (9.0)", "all memory taken at once, as set"),
        ({}, "GPU", "2: H100 (9.0)", "memory grows as needed"),
        ({"strategy": "one_device"}, "strategy", "one_device, 1 replica", "as set"),
        ({"strategy": "one_device"}, "GPU", "2: H100 (9.0)", "the first 1 used"),
        ({"replicas": 1}, "strategy", "one_device, 1 replica", "one GPU"),
        ({"replicas": 1, "strategy": "mirrored"}, "strategy", "mirrored, 1 replica", "as set"),
        ({"deterministic": True}, "determinism", "on", "device.deterministic"),
    ],
)
def test_every_decision_can_be_overridden_and_says_so(settings, what, choice, why):
    hardware = Hardware(16, (H100, H100), NEW)
    assert choices(hardware, **settings)[what] == choice
    assert why in reasons(hardware, **settings)[what]


def test_the_docs_have_these_machines():
    page = (Path(__file__).parents[2] / "docs/devices.md").read_text(encoding="utf-8")
    for name, (_, *expected) in MACHINES.items():
        assert f"| {name} | {' | '.join(expected)} |\n" in page


def test_replicas_on_a_cpu_are_for_trying_things():
    assert choices(Hardware(2), replicas=2)["strategy"] == "mirrored, 2 replicas"
    assert "sharing the CPU, as set" in reasons(Hardware(2), replicas=2)["strategy"]


@pytest.mark.parametrize(
    ("hardware", "settings", "message"),
    [
        (Hardware(2), {"kernel": "cudnn"}, "cudnn needs a GPU"),
        (Hardware(2, (P100,), OLD), {"kernel": "cudnn"}, "cuDNN 8.9.1 is older than 8.9.2"),
        (Hardware(2, (H100,), NEW), {"replicas": 2}, "2 of them, and TensorFlow sees 1 GPUs"),
        (Hardware(2), {"replicas": 2, "strategy": "one_device"}, "do not go with one_device"),
        (Hardware(2, workers=2), {"strategy": "one_device"}, "TF_CONFIG's 2 workers"),
        (Hardware(2, (V100, V100), NEW), {"precision": "mixed_float16"}, "for one device only"),
    ],
)
def test_what_the_hardware_cannot_do_is_refused(hardware, settings, message):
    with pytest.raises(UserError, match=message):
        plan(hardware, DeviceSettings(**settings))


def test_evaluation_is_for_one_device_whatever_trained():
    made = plan_alone(Hardware(4, (H100,) * 4, NEW, 2, 1), DeviceSettings(replicas=3))
    assert (made.strategy, made.replicas, made.chief) == ("one_device", 1, True)


def test_a_cudnn_is_too_old_for_masks_below_8_9_2():
    assert [bool(too_old(v)) for v in ((8, 6, 0), (8, 9, 1), (8, 9, 2), (9, 0, 0), None)] == [
        True, True, False, False, False,
    ]  # fmt: skip


# -- TF_CONFIG -------------------------------------------------------------------------------------


def config(count=3, index=1, kind="worker", **more):
    roles = {"worker": [f"host{i}:1234" for i in range(count)], **more}
    return {"TF_CONFIG": json.dumps({"cluster": roles, "task": {"type": kind, "index": index}})}


def test_workers_are_counted_in_tf_config():
    assert cluster({}) == cluster({"TF_CONFIG": ""}) == (1, 0)
    assert cluster(config()) == (3, 1)
    assert cluster(config(index="2")) == (3, 2)


@pytest.mark.parametrize(
    "environment",
    [
        {"TF_CONFIG": "nonsense"},
        {"TF_CONFIG": "[]"},
        {"TF_CONFIG": "{}"},
        config(index=3),
        config(index=-1),
        config(index="first"),
        config(kind="chief"),
        config(kind="evaluator"),
        config(chief=["host9:1"]),
        config(ps=["host9:1"]),
    ],
)
def test_another_tf_config_is_refused(environment):
    with pytest.raises(UserError, match="TF_CONFIG"):
        cluster(environment)
