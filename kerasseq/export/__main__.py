"""``python -m kerasseq.export verify PATH``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from kerasseq.errors import UserError


def main(words: list[str] | None = None) -> None:
    """Checks exported versions again."""
    parser = argparse.ArgumentParser(
        prog="python -m kerasseq.export", description="Exported models, whatever task they are of."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verify = verbs.add_parser(
        "verify",
        help="Check that a version runs with its runtime alone, and answers as it did.",
    )
    verify.add_argument("path", type=Path, nargs="+", help="A folder such as saved_models/NAME/1.")
    options = parser.parse_args(words)
    from kerasseq.export import formats, saved_model
    from kerasseq.export.versions import read_manifest

    failed = False
    for path in options.path:
        try:
            manifest = read_manifest(path)
            kind = manifest["kind"]
            found = (saved_model if kind == "saved_model" else formats).verify(path)
        except UserError as problem:
            failed = True
            print(f"{path}: {problem}", file=sys.stderr)
        else:
            version = manifest["versions"]["kerasseq"]
            print(f"{path}: {kind} of {manifest['task']}, as kerasseq {version} exported it")
            for line in found:
                print(f"  {line}")
    sys.exit(2 if failed else 0)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
