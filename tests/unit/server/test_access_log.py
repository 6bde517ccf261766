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


def test_a_text_line_has_all_facts_of_a_request() -> None:
    """A text line has the method, path, status, bytes, milliseconds and rows, in this order."""
    assert line("text") == '"POST /api/v1.0/predictions" 200 57B 1.2ms rows=3\n'


def test_a_json_line_has_the_same_facts() -> None:
    """A JSON line has the same values under these names."""
    assert json.loads(line("json")) == {
        "method": "POST",
        "path": "/api/v1.0/predictions",
        "status": 200,
        "bytes": 57,
        "milliseconds": 1.235,
        "rows": 3,
    }


def test_an_unknown_number_of_rows_is_a_dash_or_null() -> None:
    """If the number of rows is unknown, the log writes a dash in text and null in JSON."""
    assert line("text", rows=None).endswith(" rows=-\n")
    assert json.loads(line("json", rows=None))["rows"] is None


def test_the_status_of_a_grpc_call_is_its_code() -> None:
    """The log writes a gRPC status code as it is."""
    assert " INVALID_ARGUMENT 57B" in line("text", status="INVALID_ARGUMENT")
    assert json.loads(line("json", status="OK"))["status"] == "OK"


@example(path="\x7f")
@given(path=st.text(st.characters(max_codepoint=255)))
def test_no_path_can_forge_a_log_line_or_a_part_of_it(path: str) -> None:
    """Any path gives a single ASCII line, with the path inside the line's only quotes."""
    text = line("text", path)
    assert text.isascii()
    assert text.isprintable() is False  # only the newline is not printable
    assert text[:-1].isprintable()
    shown = text.removeprefix('"POST ').removesuffix('" 200 57B 1.2ms rows=3\n')
    assert json.loads(f'"{shown}"') == path
    assert '"' not in shown.replace('\\"', "")


@given(path=st.text(st.characters(max_codepoint=255)))
def test_any_path_gives_one_valid_json_line(path: str) -> None:
    """Any path gives a single JSON line, from which the same path can be parsed."""
    text = line("json", path)
    assert text.count("\n") == 1
    assert json.loads(text)["path"] == path


@pytest.mark.parametrize("form", LINES)
def test_a_long_path_is_truncated(form: str) -> None:
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
def test_lines_of_one_loop_iteration_are_written_together(form: str) -> None:
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
