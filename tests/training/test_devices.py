import pytest

from kerasseq.training.devices import DeviceSettings, Gpu, Hardware, plan

H100, V100, P100 = Gpu("H100", (9, 0)), Gpu("V100", (7, 0)), Gpu("P100", (6, 0))


@pytest.mark.parametrize(
    ("gpus", "policy"),
    [
        ((), "float32"),
        ((H100,), "mixed_bfloat16"),
        ((V100,), "mixed_float16"),
        ((P100,), "float32"),
        ((H100, V100), "mixed_float16"),
        ((H100,) * 8, "mixed_bfloat16"),
    ],
)
def test_precision_follows_the_oldest_gpu(gpus, policy):
    made = plan(Hardware(4, gpus), DeviceSettings())
    assert made.policy == policy
    assert made.threads == 4


def test_settings_override_and_every_decision_has_a_reason():
    settings = DeviceSettings(threads=1, precision="float32", deterministic=True)
    made = plan(Hardware(16, (H100,)), settings)
    assert (made.threads, made.policy, made.deterministic) == (1, "float32", True)
    assert any("as set" in line for line in made.lines())
    assert all(decision.why for decision in made.decisions)
