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

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import images
import revision
import uv
from engine import ENGINE, engine

SCHEMA = SchemaVersion.V1_6
METADATA = "cd /opt/venv/lib/python3.*/site-packages && tar --create *.dist-info"
DEBIAN = r"${Package} ${Version} ${Architecture} ${db:Status-Status}\n"
PYTHON = "import platform; print(platform.python_version())"


def main(target: str, file: Path) -> None:
    """Collect, validate and write."""
    tag = images.find(target).tags()[0]
    bom = python_packages(tag)
    bom["metadata"]["component"] = {"type": "container", "bom-ref": "image", "name": tag}
    bom["components"] += [interpreter(tag), *debian_packages(tag)]
    # cyclonedx-py gives none where all is to be reproducible, and attestations need one.
    bom["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True)).urn
    text = json.dumps(bom, indent=2)
    if error := JsonStrictValidator(SCHEMA).validate_str(text):
        sys.exit(f"{file} is not CycloneDX {SCHEMA.to_version()}: {error}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    print(f"{file}: {len(bom['components'])} components")


def python_packages(tag: str) -> dict[str, Any]:
    """What cyclonedx-py finds in an environment that has the image's metadata alone."""
    archive = [ENGINE, "run", "--rm", tag, "sh", "-c", METADATA]
    with tempfile.TemporaryDirectory() as scratch:
        uv.run("venv", "--quiet", "--no-project", "--python", sys.executable, scratch)
        packages = next(Path(scratch).glob("lib/python3.*/site-packages"))
        body = subprocess.run(archive, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(body)) as opened:
            opened.extractall(packages, filter="data")
        return read_environment(scratch)


def read_environment(directory: str) -> dict[str, Any]:
    """cyclonedx-py's findings, with the time of the sources and nothing else that varies."""
    options = ("environment", "--output-reproducible", f"--spec-version={SCHEMA.to_version()}")
    command = [sys.executable, "-m", "cyclonedx_py", *options, directory]
    settings = {**os.environ, "SOURCE_DATE_EPOCH": revision.epoch()}
    printed = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    bom: dict[str, Any] = json.loads(printed.stdout)
    return bom


def interpreter(tag: str) -> dict[str, str]:
    """Python itself, whether the base image has it from Debian or not."""
    version = engine("run", "--rm", tag, "python3", "-c", PYTHON).strip()
    return component("python", version, f"pkg:generic/python@{version}")


def debian_packages(tag: str) -> list[dict[str, str]]:
    """What the base image has installed."""
    listed = engine("run", "--rm", tag, "dpkg-query", "--show", f"--showformat={DEBIAN}")
    packages = [line.split() for line in listed.splitlines()]
    return [
        component(name, version, f"pkg:deb/debian/{name}@{quoted(version)}?arch={architecture}")
        for name, version, architecture, status in packages
        if status == "installed"
    ]


def quoted(version: str) -> str:
    """A Debian version as a package URL spells it: epochs and the like escaped."""
    return version.replace("+", "%2B").replace(":", "%3A")


def component(name: str, version: str, purl: str) -> dict[str, str]:
    """One entry of the list."""
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except images.ImagesError as error:
        sys.exit(str(error))
