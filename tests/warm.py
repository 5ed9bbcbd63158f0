# ruff: noqa: SIM115
"""Python processes that start with tensorflow imported, in a tenth of a second instead of five.

A server imports tensorflow once and forks for each process that is asked for. Such a process has
arguments, environment, folder, pipes, signals and exit status of its own, as one that a shell
starts. What is about the start itself (what is imported, what was typed, which hash seed) takes a
real one. So does the end by Ctrl-C of a program that does not catch it: its status is 1 here.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tensorflow"])
_lock = threading.Lock()


class Process:
    """What the tests use of :class:`subprocess.Popen`.

    Args:
        words: what stands behind ``python``: ``-m MODULE ...`` or ``-c PROGRAM ...``.
        cwd, env, stdin, stdout, stderr, text: as Popen has them.
    """

    def __init__(
        self,
        words: list[Any],
        cwd: Any = None,
        env: dict[str, str] | None = None,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
        text: bool = False,
    ):
        self.args, streams, given = list(map(str, words)), [], []
        for number, how in enumerate((stdin, stdout, stderr)):
            streams.append(None)
            if how == subprocess.PIPE:
                ends = os.pipe()
                mine, its = ends if number else ends[::-1]
                mode = "r" if number else "w"
                streams[-1] = open(mine, mode) if text else open(mine, f"{mode}b")
            elif how == subprocess.STDOUT:
                its = os.dup(given[1].fileno())
            else:
                its = (
                    os.open(os.devnull, os.O_RDWR) if how == subprocess.DEVNULL else os.dup(number)
                )
            given.append(Connection(its))
        self.stdin, self.stdout, self.stderr = streams
        environment = dict(os.environ if env is None else env)
        self._process = _context.Process(
            target=_start, args=(self.args, str(cwd or os.getcwd()), environment, given)
        )
        with _without_stderr():
            self._process.start()  # the server too, the first time
        for pipe in given:
            pipe.close()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, minus the signal if one ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Writes its input, waits for its end, and gives what it wrote."""
        with ThreadPoolExecutor(3) as pool:
            read = [pool.submit(s.read) if s else None for s in (self.stdout, self.stderr)]
            written = pool.submit(self._write, input) if self.stdin else None
            try:
                self.wait(timeout)
                if written:
                    written.result()
            except subprocess.TimeoutExpired:
                self.kill()  # or what reads would wait, too
                raise
            out, errors = (future and future.result() for future in read)
        self.close()
        return out, errors

    def _write(self, input: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended, or closed its input
            if input:
                self.stdin.write(input)
            self.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()

    def close(self) -> None:
        """Closes the pipes."""
        for stream in filter(None, (self.stdin, self.stdout, self.stderr)):
            stream.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        self.wait()

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Sends SIGKILL."""
        self._process.kill()


def run(
    words: list[Any], input: str | None = None, cwd: Any = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """As :func:`subprocess.run` with ``capture_output`` and ``text``."""
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    pipe = subprocess.PIPE
    process = Process(words, cwd, env, stdin, pipe, pipe, text=True)
    out, errors = process.communicate(input)
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """What is started here has no standard error: tensorflow chatters while it is imported."""
    with _lock, _no_stderr():
        yield


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)


def _start(
    words: list[str], cwd: str, environment: dict[str, str], pipes: list[Connection]
) -> None:
    """Does what ``python`` does with its arguments, in the process that was forked."""
    tests = os.getcwd()
    for number, pipe in enumerate(pipes):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    sys.stdin = open(0, closefd=False, errors="surrogateescape")
    sys.stdout = open(1, "w", closefd=False, errors="surrogateescape")
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    option, what, *arguments = words
    more = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    libraries = [folder for folder in sys.path if folder not in ("", tests)]
    sys.path[:] = [cwd if option == "-m" else "", *more, *libraries]
    sys.argv = [what if option == "-m" else "-c", *arguments]
    try:
        if option == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            assert option == "-c", option
            sys.modules["__main__"] = types.ModuleType("__main__")
            exec(what, vars(sys.modules["__main__"]))
    finally:
        atexit._run_exitfuncs()  # a child of multiprocessing ends without
        sys.stdout.flush()
        sys.stderr.flush()
