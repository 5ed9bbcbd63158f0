"""The server as a user starts it, in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from tests import warm


def real(words, **options):
    """A process that a shell would start; :class:`tests.warm.Process` is one that is quick."""
    return subprocess.Popen([sys.executable, *words], **options)


def until(done, seconds=20.0):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if done():
            return True
        time.sleep(0.05)
    return False


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Process:
    """A server, until it is ended; ``start`` is how Python is started for it."""

    def __init__(self, root, *words, port=None, token="", start=warm.Process):
        self.port = port or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = start(
            ["-m", "kerasseq.serve", str(root), "--port", str(self.port), *words],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERASSEQ_TOKEN": token},
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.log = []
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr))
        self._reader.start()

    def ask(self, body, path):
        request = urllib.request.Request(f"{self.address}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30) as found:
            return json.load(found)

    def ready(self):
        def healthy():
            assert self.process.poll() is None, self.log
            try:
                with urllib.request.urlopen(f"{self.address}/v2/health/ready", timeout=5) as answer:
                    return json.load(answer)["ready"]
            except OSError:
                return False

        assert until(healthy, 60), self.log
        return self

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(60)
        self._reader.join()
        self.process.stderr.close()
        return self.process.returncode
