"""The page: one file with style and script, and its Content-Security-Policy.

It loads nothing from other servers. The policy allows only its own style and script, by their
hashes, so that a name in a model is text and never runs (https://www.w3.org/TR/CSP3/).
"""

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

import pybase64


def page(facts: dict[str, Any], route: str) -> bytes:
    """The page for these facts, at `route`."""
    text = _file("page.html")
    parts = {"style": _file("page.css"), "script": _file("page.js"), "route": route}
    for name, part in (*parts.items(), ("facts", _inside_script(facts))):
        text = text.replace("{{" + name + "}}", part)
    return text.encode()


@cache
def policy() -> str:
    """The page's Content-Security-Policy."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash('page.js')}'",
            f"style-src '{_hash('page.css')}'",
            "img-src blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _inside_script(facts: dict[str, Any]) -> str:
    """JSON that cannot close the script element that contains it."""
    return json.dumps(facts, allow_nan=False).replace("<", "\\u003c")


def _hash(name: str) -> str:
    digest = hashlib.sha256(_file(name).encode()).digest()
    return f"sha256-{pybase64.b64encode(digest).decode()}"


@cache
def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text()
