"""CPU builds of PyTorch are locked and installed from its own index page."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import environment
import lock
import uv

pytestmark = pytest.mark.usefixtures("private_cache")

WHEEL = "whl/cpu/tinytorch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
INFO = "tinytorch-2.13.0+cpu.dist-info"


class Quiet(SimpleHTTPRequestHandler):
    """A server for a directory that logs nothing."""

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A wheel on a local copy of PyTorch's index page."""
    site = tmp_path / "site"
    (site / "whl/cpu/tinytorch").mkdir(parents=True)
    with zipfile.ZipFile(site / WHEEL, "w") as wheel:
        wheel.writestr("tinytorch.py", "")
        wheel.writestr(
            f"{INFO}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: cp311-cp311-manylinux_2_28_x86_64\n",
        )
        wheel.writestr(
            f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: tinytorch\nVersion: 2.13.0+cpu\n"
        )
        wheel.writestr(
            f"{INFO}/RECORD",
            f"tinytorch.py,,\n{INFO}/WHEEL,,\n{INFO}/METADATA,,\n{INFO}/RECORD,,\n",
        )
    link = f"/{WHEEL.replace('+', '%2B')}#sha256={digest(site / WHEEL)}"
    others = [link.replace("cp311", "cp312"), link.replace("2.13.0", "2.12.0")]
    links = "".join(f'<a href="{each}">a wheel</a><br/>' for each in [others[0], link, others[1]])
    (site / "whl/cpu/tinytorch/index.html").write_text(f"<!DOCTYPE html><body>{links}</body>")
    with ThreadingHTTPServer(("localhost", 0), partial(Quiet, directory=site)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(uv, "PYTORCH_CPU", f"http://localhost:{server.server_port}/whl/cpu")
        monkeypatch.setenv("no_proxy", "localhost")
        for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
            monkeypatch.delenv(name, raising=False)
        yield site
        server.shutdown()
        thread.join()


def digest(path: Path) -> str:
    """Return a file's hash as in a lock."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_build_for_cpus_is_locked_and_installed(page: Path, tmp_path: Path) -> None:
    """The lock has the version and hash of the CPU build, and an environment installs it."""
    chosen, locked = tmp_path / "requirements.in", tmp_path / "requirements.txt"
    chosen.write_text("tinytorch==2.13.0+cpu\n")

    lock.write({locked: (chosen,)})
    environment.create(tmp_path / "env", locked)

    assert (
        f"tinytorch==2.13.0+cpu \\\n    --hash=sha256:{digest(page / WHEEL)}\n"
        in locked.read_text()
    )
    assert (tmp_path / "env/lib/python3.11/site-packages/tinytorch.py").exists()


def test_a_wheel_in_a_directory_gives_the_same_lock(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel in a local directory gives the same lock as a download."""
    chosen, locked = tmp_path / "requirements.in", tmp_path / "requirements.txt"
    chosen.write_text("tinytorch==2.13.0+cpu\n")
    lock.write({locked: (chosen,)})

    monkeypatch.setattr(uv, "PYTORCH_CPU", "http://localhost:9/nothing")
    monkeypatch.setenv("PIP_FIND_LINKS", str((page / WHEEL).parent))

    assert lock.changed({locked: (chosen,)}) == {}


def test_a_build_without_a_digest_is_not_locked(page: Path) -> None:
    """A CPU build without a hash on the page is an error."""
    with pytest.raises(SystemExit, match=r"lists no digest for tinytorch==2\.14\.0\+cpu"):
        lock.with_digests("tinytorch==2.14.0+cpu\n")


def test_the_pytorch_image_ships_no_cuda() -> None:
    """The PyTorch image has a CPU build and no CUDA packages."""
    text = (Path(__file__).parents[2] / "pytorch/server/requirements.txt").read_text()

    assert "\ntorch==2.13.0+cpu \\\n    --hash=sha256:" in text
    assert "nvidia" not in text
    assert "triton" not in text
