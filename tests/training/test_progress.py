"""What a training run shows in the cell of a notebook."""

import contextlib
import io
import sys
import types

import pytest
import rich.console

from kerasseq.training import progress
from kerasseq.training.progress import TrainingProgress, make_console, silence


@pytest.fixture
def shown(monkeypatch):
    """What IPython displays."""
    outputs = []

    def display(data, raw, display_id):
        assert raw
        assert display_id
        outputs.append([data])
        return types.SimpleNamespace(update=lambda data, raw: outputs[-1].append(data))

    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a kernel has it
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return outputs


def kernel_stream():
    return type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()


def train(stream):
    """What is printed meanwhile."""
    with contextlib.redirect_stdout(stream), TrainingProgress(3) as bar:
        for step in (1, 2, 3):
            bar.step(step, "1/1", 10, 0.5)
        bar.say("  epoch 1  loss <0.5>")
    return stream.getvalue()


def test_a_notebook_has_one_bar_and_a_line_for_each_epoch(shown):
    assert train(kernel_stream()) == "  epoch 1  loss <0.5>\n"
    ((first, last),) = shown  # the steps took no time
    assert first["text/plain"] == "step 0/3"
    assert last["text/plain"].startswith("epoch 1/1  step 3/3  loss 0.5000")
    assert '<progress value="1.0000"' in last["text/html"]


def test_a_bar_goes_on(shown, monkeypatch):
    monkeypatch.setattr(progress, "NOTEBOOK_INTERVAL", 0)
    train(kernel_stream())
    (bar,) = shown
    shares = [one["text/html"].split('"')[1] for one in bar]
    assert shares == ["0.0000", "0.3333", "0.6667", "1.0000", "1.0000"]


def test_a_silent_run_shows_nothing_in_a_notebook(shown):
    with silence():
        assert train(kernel_stream()) == ""
    assert shown == []


def test_what_is_redirected_has_the_lines_and_no_bar(shown):
    assert train(io.StringIO()) == "  epoch 1  loss <0.5>\n"
    assert shown == []


def test_a_table_in_a_notebook_is_plain_text(shown):
    stream = kernel_stream()
    make_console(stream).print("[bold]a[/bold] " + "b" * 300)
    assert stream.getvalue() == "a " + "b" * 300 + "\n"
