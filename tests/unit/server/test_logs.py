import io
import logging
import sys

from prepackaged.server.telemetry.logs import LONGEST, BoundedFormatter


def logged(text: str) -> str:
    """Return the log text of an exception with this message."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(BoundedFormatter("%(levelname)s %(message)s"))
    try:
        raise ValueError(text)
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    handler.emit(record)
    return stream.getvalue()


def test_no_text_of_a_client_can_forge_a_log_line() -> None:
    """Continuation lines are indented and control characters escaped, so no line can be forged."""
    lines = logged("bad\nERROR forged\r\x1b[2Jtext\x9bm").splitlines()
    assert lines[0] == "ERROR failed"
    assert all(line.startswith("  ") for line in lines[1:])
    assert lines[-2:] == ["  ValueError: bad", "  ERROR forged\\x0d\\x1b[2Jtext\\x9bm"]


def test_long_log_records_are_truncated() -> None:
    """Long records are truncated in the middle; their beginning and end are kept."""
    text = logged("x" * 5_000_000 + "the end")
    assert len(text) < LONGEST + 100
    assert text.startswith("ERROR failed")
    assert text.endswith("the end\n")
