import hashlib
import io
import os
import platform
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest
from serving import free_ports

import uv


class Index:
    """A package index with its bodies by path, which records the requested paths."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.authorization: str | None = None
        self.url = ""


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the machine's own settings, and use no proxy for localhost."""
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "localhost")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index on localhost."""
    served = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.authorization = self.headers["Authorization"]
            body = served.bodies.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        served.url = f"http://localhost:{server.server_port}"
        monkeypatch.setenv("PIP_INDEX_URL", f"{served.url}/simple/")
        yield served
        server.shutdown()
        thread.join()


def listing(*links: str) -> bytes:
    """Build a project's page as in PEP 503."""
    anchors = "".join(f'<a href="{link}">a file</a><br/>\n' for link in links)
    return f"<!DOCTYPE html><html><body>\n{anchors}</body></html>".encode()


def sha256(body: bytes) -> str:
    """Return a hash as in an index."""
    return hashlib.sha256(body).hexdigest()


def end(call: Callable[..., object], *arguments: str) -> str:
    """Return the message with which a call exits."""
    with pytest.raises(SystemExit) as caught:
        call(*arguments)
    if isinstance(answer := caught.value.__context__, HTTPError):
        answer.close()
    return str(caught.value.code)


# Downloads


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("../../files/uv.whl", "/files/uv.whl"),
        ("/files/uv.whl", "/files/uv.whl"),
        ("uv.whl?a=1&amp;b=2", "/simple/uv/uv.whl?a=1&b=2"),
    ],
)
def test_the_file_with_the_pinned_digest_is_fetched(index: Index, link: str, path: str) -> None:
    """The file with the pinned hash is downloaded, wherever it is."""
    others = [f"other.whl#sha256={'0' * 64}", "old.whl"]
    index.bodies = {
        "/simple/uv/": listing(*others, f"{link}#sha256={sha256(b'wheel')}"),
        path: b"wheel",
    }
    assert uv.fetch(sha256(b"wheel")) == b"wheel"
    assert index.asked == ["/simple/uv/", path]


def test_a_file_with_another_digest_is_refused(index: Index) -> None:
    """A file with another hash than the listed one is refused."""
    digest = sha256(b"wheel")
    index.bodies = {"/simple/uv/": listing(f"uv.whl#sha256={digest}"), "/simple/uv/uv.whl": b"evil"}
    assert end(uv.fetch, digest) == (
        f"uv: uv.whl is not the file that was pinned (sha256 {digest})"
    )


def test_an_index_without_the_file_is_named(index: Index) -> None:
    """If the index lacks the file, the error names the index."""
    index.bodies = {"/simple/uv/": listing(f"uv.whl#sha256={'1' * 64}")}
    digest = sha256(b"wheel")
    assert end(uv.fetch, digest) == f"uv: {index.url}/simple/uv/ lists no file with sha256 {digest}"


def test_credentials_in_the_address_are_sent_and_not_shown(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials in the address are sent (RFC 7617), but not shown in error messages."""
    address = index.url.replace("http://", "http://me:p%40ss@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
    index.bodies["/simple/uv/"] = listing("other#sha256=1")

    message = end(uv.fetch, "0")

    assert index.authorization == "Basic bWU6cEBzcw=="
    assert "p%40ss" not in message
    assert "p@ss" not in message


def test_the_error_for_a_missing_project_is_one_line(index: Index) -> None:
    """The error for a missing project gives the address and the status in one line."""
    address = f"{index.url}/simple/uv/"
    assert end(uv.fetch, "0") == f"uv: cannot fetch {address}: HTTP Error 404: Not Found"


@pytest.mark.parametrize("address", ["simple", "http://localhost:port/simple", "http://[::1"])
def test_the_error_for_an_invalid_address_is_one_line(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """The error for an invalid address is one line that quotes it."""
    monkeypatch.setenv("PIP_INDEX_URL", address)
    message = end(uv.fetch, "0")
    assert message.startswith(f"uv: cannot fetch {address}/uv/: ")
    assert "\n" not in message


def test_the_error_for_an_unreachable_index_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for an unreachable index is one line with the address and the reason."""
    (port,) = free_ports(1)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://localhost:{port}/simple")
    message = end(uv.fetch, "0")
    assert message.startswith(f"uv: cannot fetch http://localhost:{port}/simple/uv/: ")
    assert "Connection refused" in message
    assert "\n" not in message


# The program


@pytest.fixture
def program(index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path of uv in an empty cache, with an index that has a fake `uv` that exits with 3."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"uv-{uv.VERSION}.data/scripts/uv", "#!/bin/sh\nexit 3\n")
    digest = sha256(buffer.getvalue())
    index.bodies = {
        "/simple/uv/": listing(f"uv.whl#sha256={digest}"),
        "/simple/uv/uv.whl": buffer.getvalue(),
    }
    monkeypatch.setitem(uv.WHEEL_DIGESTS, (platform.system(), platform.machine()), digest)
    monkeypatch.setattr(uv, "CACHE", tmp_path)
    return tmp_path / f"uv-{uv.VERSION}/uv"


def test_uv_is_fetched_once(program: Path, index: Index) -> None:
    """The program is downloaded once, and only the program is kept."""
    assert uv.find() == uv.find() == program
    assert index.asked == ["/simple/uv/", "/simple/uv/uv.whl"]
    assert list(program.parent.iterdir()) == [program]
    assert os.access(program, os.X_OK)


def test_the_tool_exits_with_the_status_of_uv(program: Path) -> None:
    """If uv fails, the tool exits with uv's status."""
    assert end(uv.run, "pip") == "3"


def test_the_error_for_an_unknown_machine_says_where_to_add_its_hash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error for an unknown machine says where to add its hash."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(uv, "CACHE", tmp_path)
    assert end(uv.find).startswith(
        "uv: no wheel is pinned for ('Linux', 'riscv64'); add its digest to "
    )


# Settings


def test_the_index_is_pypi_unless_something_else_is_set() -> None:
    """The default index is PyPI."""
    assert uv.index() == "https://pypi.org/simple"


def test_pips_index_applies_to_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """PIP_INDEX_URL also applies to uv."""
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example.com/simple")
    assert uv.index() == "https://mirror.example.com/simple"
    assert uv.environment()["UV_DEFAULT_INDEX"] == "https://mirror.example.com/simple"


def test_uvs_own_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """UV_DEFAULT_INDEX overrides PIP_INDEX_URL."""
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example.com/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example.com/simple")
    assert uv.index() == "https://uv.example.com/simple"
    assert uv.environment()["UV_DEFAULT_INDEX"] == "https://uv.example.com/simple"


@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX"])
def test_an_empty_index_counts_as_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An empty variable, as exported by the Makefile, counts as unset."""
    monkeypatch.setenv(name, "")
    assert uv.index() == "https://pypi.org/simple"
    assert uv.environment()["UV_DEFAULT_INDEX"] == "https://pypi.org/simple"


def test_pips_directories_of_wheels_apply_to_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """PIP_FIND_LINKS also applies to uv, which uses commas instead of spaces."""
    monkeypatch.setenv("PIP_FIND_LINKS", "/srv/wheels  https://example.com/wheels")
    assert uv.environment()["UV_FIND_LINKS"] == "/srv/wheels,https://example.com/wheels"


@pytest.mark.parametrize(
    ("told", "requirements", "options"),
    [
        ("", "torch==2.13.0+cpu", ["/made", f"{uv.PYTORCH_CPU}/torch/"]),
        (
            "",
            "torch==2.13.0+cpu\ntorchvision==0.28.0+cpu",
            ["/made", f"{uv.PYTORCH_CPU}/torch/", f"{uv.PYTORCH_CPU}/torchvision/"],
        ),
        ("", "torch==2.13.0", ["/made"]),
        ("", "torch==2.13.0,!=2.13.0+cpu", ["/made"]),
        ("/srv/wheels /more", "torch==2.13.0+cpu", ["/made", "/srv/wheels", "/more"]),
        ("/srv/wheels", "numpy", ["/made", "/srv/wheels"]),
    ],
)
def test_pytorchs_index_is_only_used_for_cpu_builds(
    monkeypatch: pytest.MonkeyPatch, told: str, requirements: str, options: list[str]
) -> None:
    """PyTorch's index is used only for CPU builds, and never if another place is set."""
    monkeypatch.setenv("PIP_FIND_LINKS", told)
    found = uv.find_links(requirements, Path("/made"))
    assert found == [f"--find-links={place}" for place in options]


def test_without_directories_of_wheels_uv_gets_none() -> None:
    """Without PIP_FIND_LINKS, UV_FIND_LINKS is not set, since uv would treat "" as a directory."""
    assert "UV_FIND_LINKS" not in uv.environment()
