"""Write what is in a built image, as CycloneDX JSON: `make sbom-<target>`.

    .envs/dev/bin/python tools/sbom.py TARGET FILE

Python's packages are read by cyclonedx-py from the metadata that lies in the image's
environment; the interpreter and Debian's packages are asked of the image and added.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import uuid
from pathlib import Path
from typing import Any

from packageurl import PackageURL

import images
import revision
from engine import ENGINE, engine

METADATA = "cd /opt/venv/lib/python3.*/site-packages && tar --create *.dist-info"
CYCLONEDX = ("cyclonedx_py", "environment", "--output-reproducible", "--spec-version=1.6")
DEBIAN = r"${Package} ${Version} ${Architecture} ${db:Status-Status}\n"
PYTHON = "import platform; print(platform.python_version())"


def main(target: str, file: Path) -> None:
    """Collect and write."""
    tag = images.find(target).tags()[0]
    bom = python_packages(tag)
    bom["metadata"]["component"] = {"type": "container", "bom-ref": "image", "name": tag}
    bom["components"] += [interpreter(tag), *debian_packages(tag)]
    # cyclonedx-py gives none where all is to be reproducible, and attestations need one.
    bom["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True)).urn
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bom, indent=2))
    print(f"{file}: {len(bom['components'])} components")


def python_packages(tag: str) -> dict[str, Any]:
    """What cyclonedx-py finds in an environment that has the image's metadata alone."""
    archive = [ENGINE, "run", "--rm", tag, "sh", "-c", METADATA]
    body = subprocess.run(archive, stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", scratch], check=True)
        packages = next(Path(scratch).glob("lib/python3.*/site-packages"))
        with tarfile.open(fileobj=io.BytesIO(body)) as opened:
            opened.extractall(packages, filter="data")
        command = [sys.executable, "-m", *CYCLONEDX, scratch]
        settings = {**os.environ, "SOURCE_DATE_EPOCH": revision.epoch()}
        found = subprocess.run(command, env=settings, stdout=subprocess.PIPE, check=True).stdout
    return dict(json.loads(found))


def interpreter(tag: str) -> dict[str, str]:
    """Python itself, whether the base image has it from Debian or not."""
    version = engine("run", "--rm", tag, "python3", "-c", PYTHON).strip()
    return component(PackageURL("generic", None, "python", version))


def debian_packages(tag: str) -> list[dict[str, str]]:
    """What the base image has installed."""
    listed = engine("run", "--rm", tag, "dpkg-query", "--show", f"--showformat={DEBIAN}")
    return [
        component(PackageURL("deb", "debian", name, version, {"arch": architecture}))
        for name, version, architecture, status in map(str.split, listed.splitlines())
        if status == "installed"
    ]


def component(purl: PackageURL) -> dict[str, str]:
    """One entry of the list."""
    text, version = purl.to_string(), purl.version or ""
    return {"type": "library", "bom-ref": text, "name": purl.name, "version": version, "purl": text}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
