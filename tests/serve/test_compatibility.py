"""The server answers as TensorFlow Serving does, but for what the docs say."""

import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server needs kerasseq[serve]")

from tests.serve import compatibility
from tests.serve.lengths import write
from tests.serve.process import Process

DOCS = Path(__file__).parents[2] / "docs" / "server.md"


def test_each_request_is_answered_as_documented(tmp_path):
    write(tmp_path, 1)
    server = Process(tmp_path, "--grace", "0").ready()
    try:
        for case, wrong, status in compatibility.compare(server.address):
            known = case.get("differs", {}).get("status")
            assert status == known if known else not wrong, (case["name"], wrong)
    finally:
        assert server.end() == 0


def test_each_difference_has_its_row_and_reason():
    rows = re.findall(r"^\| (\d) \|", DOCS.read_text(encoding="utf-8"), re.M)
    assert rows == [str(i + 1) for i in range(len(rows))]
    assert 1 <= len(rows) <= 8
    known = {case["differs"]["row"] for case in compatibility.CASES if "differs" in case}
    assert known <= set(map(int, rows))
