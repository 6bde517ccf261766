"""The access log: a line for every request, written a loop's turn at a time."""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import orjson

from prepackaged.server.telemetry.context import RequestContext

PLAIN = re.compile(r"[!#-\[\]-~]*")  # no blanks, quotes, backslashes or characters beyond ASCII

LONGEST = 512  # characters of a path in a line


class Stream(Protocol):
    """The destination of lines."""

    def write(self, text: str, /) -> object:
        """Write some."""

    def flush(self) -> object:
        """Write all."""


Line = Callable[[RequestContext, int | str, int, float], str]


def shown(path: str) -> str:
    """A path as the log shows it: as JSON if it has special characters, shortened if it is long."""
    return _shown(path) if len(path) <= LONGEST else _shown(path[:LONGEST]) + "..."


@lru_cache(1024)
def _shown(path: str) -> str:
    if PLAIN.fullmatch(path):
        return path
    return json.dumps(path)[1:-1].replace("\x7f", "\\u007f")


def text_line(context: RequestContext, status: int | str, size: int, milliseconds: float) -> str:
    """A line for people."""
    asked, rows = shown(context.path), "-" if context.rows is None else context.rows
    return f'"{context.method} {asked}" {status} {size}B {milliseconds:.1f}ms rows={rows}\n'


def json_line(context: RequestContext, status: int | str, size: int, milliseconds: float) -> str:
    """A line for programs."""
    fields = {
        "method": context.method,
        "path": context.path[:LONGEST],
        "status": status,
        "bytes": size,
        "milliseconds": round(milliseconds, 3),
        "rows": context.rows,
    }
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE).decode()


LINES: dict[str, Line] = {"text": text_line, "json": json_line}


class AccessLog:
    """Collects lines and writes them together, so that logging costs little under load.

    `form` is one of LINES.
    """

    def __init__(self, form: str, stream: Stream = sys.stdout) -> None:
        self._line = LINES[form]
        self._stream = stream
        self._lines: list[str] = []
        self._loop = asyncio.get_running_loop()

    def __call__(
        self, context: RequestContext, status: int | str, size: int, seconds: float
    ) -> None:
        """Note a request that was answered with `size` bytes after so many seconds."""
        if not self._lines:
            self._loop.call_soon(self.flush)
        self._lines.append(self._line(context, status, size, seconds * 1000))

    def flush(self) -> None:
        """Write the buffered lines."""
        lines, self._lines = self._lines, []
        self._stream.write("".join(lines))
        self._stream.flush()
