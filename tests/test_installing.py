import pytest

from kerasseq import installing
from kerasseq.installing import install_extra


def test_the_packages_themselves_are_named():
    assert install_extra("translation").startswith("pip install 'tokenizers<1,>=0.21' 'sacrebleu")
    assert "uvloop" in install_extra("serve")
    assert "kerasseq" not in install_extra("serve")


@pytest.mark.parametrize("extra", ["corpora", "cluster", "litert", "onnx", "treebanks"])
def test_every_extra_has_some(extra):
    assert install_extra(extra).count("'") >= 2


def test_a_checkout_that_is_not_installed(monkeypatch):
    def missing(name):
        raise installing.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installing.metadata, "requires", missing)
    assert install_extra("onnx") == "pip install -e '.[onnx]'"
