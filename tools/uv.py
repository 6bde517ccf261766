"""Run uv, the package installer, at one pinned version.

A fresh Debian has Python but neither pip nor venv. So the standard library downloads uv's wheel
from the package index, checks it against the digest below and keeps it in the cache.

The index is `UV_DEFAULT_INDEX`, else `PIP_INDEX_URL`, else PyPI. `PIP_FIND_LINKS` is passed on to
uv, and replaces PyTorch's own pages of builds for CPUs, which PyPI does not have.
"""

import base64
import hashlib
import html
import io
import os
import platform
import re
import subprocess
import sys
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urljoin

VERSION = "0.13.9"
WHEEL_DIGESTS = {
    ("Linux", "x86_64"): "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ("Linux", "aarch64"): "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    ("Darwin", "x86_64"): "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
    ("Darwin", "arm64"): "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
}
PYTORCH_CPU = "https://download.pytorch.org/whl/cpu"
BUILD_FOR_CPU = re.compile(r"([\w-]+)==[\w.]+\+cpu")  # required, not excluded with `!=`
CACHE = Path(os.environ.get("PREPACKAGED_CACHE", Path(__file__).parents[1] / ".cache"))


def run(*arguments: str | Path) -> None:
    """Run `uv` with the arguments; exit with uv's status if it fails."""
    if status := subprocess.run([find(), *arguments], env=environment(), check=False).returncode:
        sys.exit(status)


def quietly() -> list[str]:
    """The option --quiet, except at a terminal, because downloads take minutes."""
    return [] if sys.stderr.isatty() else ["--quiet"]


def environment() -> dict[str, str]:
    """The process environment with pip's index settings translated into uv's."""
    settings = {"UV_SYSTEM_CERTS": "1"}
    if find_links := os.environ.get("PIP_FIND_LINKS"):
        settings["UV_FIND_LINKS"] = ",".join(find_links.split())
    return {**settings, **os.environ, "UV_DEFAULT_INDEX": index()}


def find_links(requirements: str, *places: Path) -> list[str]:
    """Options for wheels outside of the index: in `places` and in UV_FIND_LINKS.

    Without UV_FIND_LINKS, PyTorch's own pages are added if requirements name builds for CPUs.
    """
    # With such an option uv ignores the variable, so its value is repeated here.
    links = environment().get("UV_FIND_LINKS", "")
    pages = links.split(",") if links else map(pytorch_page, BUILD_FOR_CPU.findall(requirements))
    return [f"--find-links={place}" for place in (*places, *filter(None, pages))]


def pytorch_page(name: str) -> str:
    """PyTorch's page with a package's builds for CPUs."""
    return f"{PYTORCH_CPU}/{name}/"


def index() -> str:
    """The address of the package index (PEP 503)."""
    chosen = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    return chosen or "https://pypi.org/simple"


def find() -> Path:
    """The path of the pinned uv, which is downloaded if the cache does not have it."""
    program = CACHE / f"uv-{VERSION}" / "uv"
    if not program.exists():
        machine = (platform.system(), platform.machine())
        if machine not in WHEEL_DIGESTS:
            sys.exit(f"uv: no wheel is pinned for {machine}; add its digest to {__file__}")
        print(f"-> fetching uv {VERSION}", flush=True)
        unpack(fetch(WHEEL_DIGESTS[machine]), program)
    return program


def fetch(digest: str) -> bytes:
    """The wheel with this SHA-256 digest, found in the index's list of files (PEP 503)."""
    project = f"{index().rstrip('/')}/uv/"
    link = re.search(rf'href="([^"#]+)#sha256={digest}"', get(project).decode())
    if link is None:
        sys.exit(f"uv: {without_credentials(project)} lists no file with sha256 {digest}")
    wheel = get(urljoin(project, html.unescape(link[1])))
    if hashlib.sha256(wheel).hexdigest() != digest:
        sys.exit(f"uv: {link[1]} is not the file that was pinned (sha256 {digest})")
    return wheel


def get(address: str) -> bytes:
    """The body at an address; exits with one line if it cannot be downloaded."""
    public = without_credentials(address)
    try:
        request = urllib.request.Request(public)
        if credentials := re.search("//([^/]*)@", address):
            basic = base64.b64encode(unquote(credentials[1]).encode()).decode()
            request.add_header("Authorization", f"Basic {basic}")
        with urllib.request.urlopen(request, timeout=120) as response:
            return bytes(response.read())
    except (OSError, ValueError, HTTPException) as error:
        sys.exit(f"uv: cannot fetch {public}: {error}")


def without_credentials(address: str) -> str:
    """The address without its `user:password@`, if it has one."""
    return re.sub("//[^/]*@", "//", address)


def unpack(wheel: bytes, program: Path) -> None:
    """Write the executable in the wheel to `program`, in one step."""
    program.parent.mkdir(parents=True, exist_ok=True)
    partial = program.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        partial.write_bytes(archive.read(f"uv-{VERSION}.data/scripts/uv"))
    partial.chmod(0o755)
    partial.replace(program)
