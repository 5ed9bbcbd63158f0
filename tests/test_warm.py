"""A warm process is to a test what a real one is."""

import signal
import subprocess
import sys

import pytest

from tests import warm

SHOWS = """
import os, sys
print(sys.argv, os.getcwd(), os.environ.get("MARK"), "tensorflow" in sys.modules, __name__)
print(sys.stdin.read(), end="", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


def test_words_folder_environment_pipes_and_status(tmp_path):
    for status in (0, 3):
        done = warm.run(["-c", SHOWS, status], "né\n", tmp_path, {"MARK": "here"})
        assert done.returncode == status
        assert done.stdout == f"['-c', '{status}'] {tmp_path} here True __main__\n"
        assert done.stderr == "né\n"


def test_a_module_is_run_as_python_does(tmp_path):
    (tmp_path / "shown.py").write_text("import sys\nprint(__name__, __spec__.name, sys.argv[1:])")
    words = ["-m", "shown", "a", "b"]
    real = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert warm.run(words, cwd=tmp_path).stdout == real.stdout


def test_an_error_is_shown_with_status_1():
    done = warm.run(["-c", "import sys\nsys.stdout.write('a')\nraise ValueError('no')"])
    assert (done.returncode, done.stdout) == (1, "a")
    assert done.stderr.rstrip().endswith("ValueError: no")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals(number):
    program = "import time\nprint('up', flush=True)\ntime.sleep(60)"
    where = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with warm.Process(["-c", program], **where) as process:
        assert process.stdout.readline() == b"up\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(number)
        assert process.wait(30) == (1 if number == signal.SIGINT else -number)


def test_two_have_nothing_in_common():
    first = warm.run(["-c", "import os, json\njson.mark = 1\nos.environ['MARK'] = 'x'"])
    second = warm.run(["-c", "import os, json\nprint(hasattr(json, 'mark'), 'MARK' in os.environ)"])
    assert (first.returncode, second.stdout) == (0, "False False\n")


def test_input_that_nobody_reads_is_no_fault():
    large = "x" * 3_000_000
    assert warm.run(["-c", "pass"], large).returncode == 0
    program = "import sys\nprint(len(sys.stdin.read()))\nprint('y' * 3_000_000, file=sys.stderr)"
    done = warm.run(["-c", program], large)
    assert (done.stdout, len(done.stderr)) == ("3000000\n", 3_000_001)


def test_tensorflow_computes_and_ends():
    program = """
import tensorflow as tf
double = tf.function(lambda x: tf.linalg.matmul(x, x), jit_compile=True)
print(double(tf.ones((50, 50)))[0, 0].numpy())
"""
    for _ in range(2):
        assert warm.run(["-c", program]).stdout == "50.0\n"
