"""The page: one HTML file with style and script, and its Content-Security-Policy.

It loads nothing from other servers. The policy allows only its own style and script, by their
hashes, so that names in a model are never run as scripts (https://www.w3.org/TR/CSP3/).
"""

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

import pybase64

OWN = "'self'"


def page(facts: dict[str, Any], route: str) -> bytes:
    """The page for these facts, at `route`; its response must have the header `policy`."""
    return _filled(facts, route, "")


def page_as_file(facts: dict[str, Any]) -> bytes:
    """The page as a file with its own policy; the user enters the address of a deployment."""
    rules = _rules(asked="http: https:")
    return _filled(facts, "", f'<meta http-equiv="Content-Security-Policy" content="{rules}">')


def _filled(facts: dict[str, Any], route: str, meta: str) -> bytes:
    text = _file("page.html")
    parts = {"policy": meta, "style": _file("page.css"), "script": _file("page.js")}
    parts["route"] = route
    for name, part in (*parts.items(), ("facts", _inside_script(facts))):
        text = text.replace("{{" + name + "}}", part)
    return text.encode()


@cache
def policy() -> str:
    """The Content-Security-Policy of the page, for the response's header."""
    return f"{_rules(OWN)}; frame-ancestors 'self'"


def _rules(asked: str) -> str:
    """The rules of the policy; `asked` are the servers that the page may call."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash('page.js')}'",
            f"style-src '{_hash('page.css')}'",
            "img-src blob: data:",
            f"connect-src {asked}",
            "base-uri 'none'",
            "form-action 'none'",
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
