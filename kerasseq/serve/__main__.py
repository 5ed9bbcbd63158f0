"""``python -m kerasseq.serve saved_models/``."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import socket
import sys
from dataclasses import fields
from pathlib import Path

from kerasseq.errors import UserError
from kerasseq.export.versions import MANIFEST
from kerasseq.installing import install_extra
from kerasseq.serve.limits import BACKLOG, Limits
from kerasseq.serve.versions import Choices

TOKEN = "KERASSEQ_TOKEN"
LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names of this machine."""

HELP = {
    "body": "most bytes of a request's body",
    "rows": "most examples of a request (times its beam), and of what is run at once",
    "characters": "most characters of a text",
    "words": "most words of a sentence that is given as words",
    "beam_size": "largest beam",
    "k": "most next tokens",
    "length": "most tokens that are generated",
    "tokens": "most tokens that a request generates, over all its examples",
    "seconds": "time for a request to arrive, and then to be answered",
    "waiting": "examples that may wait, per model; beyond it requests get 503",
    "wait": "seconds that a request waits for others to be run with",
    "streams": "generations that are sent token by token at once",
    "connections": "connections at once; beyond it those give way that have waited longest",
    "connections_per_address": "connections of one address at once",
    "idle": "seconds for a request's head, from the connection or the last answer",
    "head": "bytes of a request's head",
    "headers": "lines of a request's head",
    "line": "bytes of a request's path",
}


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {
        "message", "asctime", "taskName", "color_message",
    }  # fmt: skip

    def format(self, record: logging.LogRecord) -> str:
        extra = {k: v for k, v in vars(record).items() if k not in self.KNOWN}
        line = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **extra,
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)  # ASCII: no character of a request breaks a line


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m kerasseq.serve",
        description="Serves exported models by TensorFlow Serving's REST protocol, and a page to "
        "try them on. Newer versions are picked up as they appear.",
        epilog=f"Clients need a bearer token if the environment variable {TOKEN} holds one.",
    )
    parser.add_argument("folder", type=Path, help="exported models, FOLDER/NAME/VERSION/")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=int, default=8501, help="(default: %(default)s)")
    parser.add_argument(
        "--poll", type=float, default=5.0,
        help="seconds between looks for new versions (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--batch-threads", type=int, default=2,
        help="batches of a model that are run at once (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--versions", action="append", default=[], metavar="[NAME=]WHICH",
        help="versions that are served: all, latest:2, or NAME=1,2 for one model; may be given "
        "several times (default: the newest)",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help="YAML file of models by name, each with versions and labels; it is read again when "
        "it changes",
    )  # fmt: skip
    parser.add_argument(
        "--allowed-hosts", metavar="NAMES",
        help="names that requests may be for, with commas, or * (default: localhost, 127.0.0.1 and "
        "::1 where it listens on this machine only, else any)",
    )  # fmt: skip
    parser.add_argument(
        "--allowed-origins", default="", metavar="ORIGINS",
        help="origins of other sites' pages that may ask, with commas, such as https://example.org",
    )  # fmt: skip
    parser.add_argument(
        "--grace", type=float, default=2.0,
        help="seconds that it still takes requests after SIGTERM, no longer ready "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--drain", type=int, default=30,
        help="seconds that requests have left after that (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true",
        help="refuse lists of words of different lengths in a request, as TensorFlow Serving does",
    )  # fmt: skip
    for item in fields(Limits):
        kind = type(item.default)
        if kind is bool:
            continue
        parser.add_argument(
            f"--max-{item.name.replace('_', '-')}", dest=item.name, type=kind, default=item.default,
            metavar="N", help=f"{HELP[item.name]} (default: %(default)s)",
        )  # fmt: skip
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Serves until a signal."""
    options = parse(words)
    try:
        serve(options)
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(problem.status)


def serve(options: argparse.Namespace) -> None:
    """Serves until a signal.

    Raises:
        UserError: if there is nothing to serve, or an option cannot be.
    """
    limits = Limits(**{item.name: getattr(options, item.name) for item in fields(Limits)})
    if not options.folder.is_dir():
        raise UserError(f"{options.folder} is no folder: export a model first")
    if not 0 < options.poll < math.inf:
        raise UserError(f"--poll must be above 0, got {options.poll:g}")
    if not 0 <= options.port <= 65_535:
        raise UserError(f"--port is from 0 to 65535, got {options.port}")
    if not 0 <= options.grace < math.inf:
        raise UserError(f"--grace must be at least 0, got {options.grace:g}")
    if options.drain < 0:
        raise UserError(f"--drain must be at least 0, got {options.drain}")
    if any(options.folder.glob(f"*/{MANIFEST}")):
        where = options.folder.resolve().parent
        raise UserError(f"{options.folder} holds the versions of one model: serve {where}")
    if options.batch_threads < 1:
        raise UserError(f"--batch-threads must be at least 1, got {options.batch_threads}")
    for name, value in vars(limits).items():
        if not value >= (0 if name in ("wait", "strict") else 1):
            raise UserError(f"--max-{name.replace('_', '-')} is too small: {value:g}")
    if limits.waiting < limits.rows:
        raise UserError("--max-waiting must be at least --max-rows, or a request could never wait")
    try:
        from kerasseq.serve.access import Access
        from kerasseq.serve.app import Server, make_app
        from kerasseq.serve.connections import connections
        from kerasseq.serve.process import run
    except ModuleNotFoundError as missing:
        if missing.name not in ("fastapi", "uvicorn", "httptools", "prometheus_client"):
            raise
        raise UserError(f"the server needs: {install_extra('serve')}") from None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    local = options.host in LOCAL
    hosts = options.allowed_hosts or (",".join(LOCAL) if local else "*")
    access = Access(
        os.environ.get(TOKEN, "").strip(), _listed(hosts), _listed(options.allowed_origins)
    )
    choices = Choices(options.versions, options.config)
    server = Server(options.folder, limits, access, choices, options.poll, options.batch_threads)
    with listening(options.host, options.port) as bound:  # before models are loaded for nothing
        run(make_app(server), server, connections(limits), bound, options.grace, options.drain)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound.

    Raises:
        UserError: if it cannot be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(f"cannot listen on {host}, port {port}: {error}") from None


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
