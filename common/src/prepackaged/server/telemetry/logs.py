"""The format of logs other than the access log: bounded, and no client can forge a record."""

import logging
import re
from typing import Any

# seldon-core's own.
FORMAT = "%(asctime)s - %(name)s:%(funcName)s:%(lineno)s - %(levelname)s:  %(message)s"
LONGEST = 16_000  # characters of a record; the middle of a longer one is left out
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # controls, less tab and line feed


class BoundedFormatter(logging.Formatter):
    """Indents all lines of a record but the first, so that no text in it can pass for a record.

    Errors quote what clients sent: megabytes, escape sequences, lines that look like log records.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as it is written."""
        text = super().format(record)
        if len(text) > LONGEST:
            half = LONGEST // 2
            text = f"{text[:half]} ... {len(text) - LONGEST} characters ... {text[-half:]}"
        text = CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
        return "\n  ".join(text.split("\n"))


def begin_logging(level: int | str = logging.INFO, stream: Any = None) -> None:
    """Write the process's log to a stream; None means standard error."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(BoundedFormatter(FORMAT))
    logging.basicConfig(handlers=[handler], level=level)
