import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepackaged.server.telemetry.access_log import LINES, AccessLog
from prepackaged.server.telemetry.context import RequestContext

PATH = "/api/v1.0/predictions"


def line(form: str, path: str = PATH, rows: int | None = 3, status: int | str = 200) -> str:
    """Format the access log line of one request."""
    context = RequestContext("POST", path, ())
    context.rows = rows
    return LINES[form](context, status, 57, 1.23456)


def test_a_line_of_text_has_what_there_is_to_know_of_a_request() -> None:
    """A text line has the method, path, status, bytes, milliseconds and rows, in this order."""
    assert line("text") == '"POST /api/v1.0/predictions" 200 57B 1.2ms rows=3\n'


def test_a_line_of_json_has_the_same() -> None:
    """A JSON line has the same values under these names."""
    assert json.loads(line("json")) == {
        "method": "POST",
        "path": "/api/v1.0/predictions",
        "status": 200,
        "bytes": 57,
        "milliseconds": 1.235,
        "rows": 3,
    }


def test_what_is_no_array_has_no_rows() -> None:
    """If the number of rows is unknown, the log writes a dash in text and null in JSON."""
    assert line("text", rows=None).endswith(" rows=-\n")
    assert json.loads(line("json", rows=None))["rows"] is None


def test_a_call_over_grpc_has_its_code_as_status() -> None:
    """The log writes a gRPC status code as it is."""
    assert " INVALID_ARGUMENT 57B" in line("text", status="INVALID_ARGUMENT")
    assert json.loads(line("json", status="OK"))["status"] == "OK"


@example(path="\x7f")
@given(path=st.text(st.characters(max_codepoint=255)))
def test_no_path_can_forge_a_line_or_a_part_of_one(path: str) -> None:
    """Any path gives a single ASCII line, with the path inside the line's only quotes."""
    text = line("text", path)
    assert text.isascii()
    assert text.isprintable() is False  # only the newline is not printable
    assert text[:-1].isprintable()
    shown = text.removeprefix('"POST ').removesuffix('" 200 57B 1.2ms rows=3\n')
    assert json.loads(f'"{shown}"') == path
    assert '"' not in shown.replace('\\"', "")


@given(path=st.text(st.characters(max_codepoint=255)))
def test_json_is_json_whatever_the_path(path: str) -> None:
    """Any path gives a single JSON line, from which the same path can be parsed."""
    text = line("json", path)
    assert text.count("\n") == 1
    assert json.loads(text)["path"] == path


@pytest.mark.parametrize("form", LINES)
def test_a_long_path_is_cut_off(form: str) -> None:
    """The log truncates long paths, so that one request cannot fill the log."""
    assert len(line(form, "/" + "\0" * 60_000)) < 4000


class Stream(io.StringIO):
    """A stream that records each write separately."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        return len(text)


def logged(form: str, do: Callable[[AccessLog], Any]) -> list[str]:
    """Return the separate writes of an access log that is filled in one event loop iteration."""
    stream = Stream()

    async def turn() -> None:
        do(AccessLog(form, stream))
        await asyncio.sleep(0)

    asyncio.run(turn())
    return stream.written


@pytest.mark.parametrize("form", LINES)
def test_lines_of_a_turn_are_written_together(form: str) -> None:
    """Log lines of one event loop iteration are written in a single write."""

    def note_three(log: AccessLog) -> None:
        for number in range(3):
            log(RequestContext("GET", f"/{number}", ()), 200, number, 0.001)

    (written,) = logged(form, note_three)
    assert [number for number in range(3) if f"/{number}" in written.splitlines()[number]] == [
        0,
        1,
        2,
    ]
