"""Write the bill of materials of a built image, as CycloneDX JSON: `make sbom-<target>`.

    .envs/dev/bin/python tools/sbom.py TARGET FILE

The environment variable SOURCE_DATE_EPOCH sets the time in the file.
cyclonedx-py reads the Python packages from the metadata in the image's environment. Commands in a
container of the image list its interpreter and Debian packages.
"""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from packageurl import PackageURL

import images

ENGINE = os.environ.get("CONTAINER_CLI") or "docker"
METADATA = "cd /opt/venv/lib/python3.*/site-packages && tar --create *.dist-info"
CYCLONEDX = ("cyclonedx_py", "environment", "--output-reproducible", "--spec-version=1.6")
# Print kind, namespace, name, version and architecture of the interpreter and Debian packages.
OTHERS = """\
python3 -c 'import platform; print("generic - python", platform.python_version(), "-")'
dpkg-query --show --showformat='deb debian ${Package} ${Version} ${Architecture}\\n'
"""


def main(target: str, file: Path) -> None:
    """Collect the components and write the file."""
    tag = images.find(target).tags()[0]
    bom = python_packages(tag)
    bom["metadata"]["component"] = {"type": "container", "bom-ref": "image", "name": tag}
    others = printed(tag, OTHERS).decode().splitlines()
    bom["components"] += [component(*line.split()) for line in others]
    # With --output-reproducible, cyclonedx-py omits the serial number, which attestations need.
    bom["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True)).urn
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bom, indent=2))
    print(f"{file}: {len(bom['components'])} components")


def python_packages(tag: str) -> dict[str, Any]:
    """The output of cyclonedx-py for an environment with only the image's metadata."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", scratch], check=True)
        packages = next(Path(scratch).glob("lib/python3.*/site-packages"))
        unpack = ["tar", "--extract", "--directory", str(packages)]
        subprocess.run(unpack, input=printed(tag, METADATA), check=True)
        command = [sys.executable, "-m", *CYCLONEDX, scratch]
        found = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return dict(json.loads(found))


def printed(tag: str, script: str) -> bytes:
    """The output of a shell script in a container of the image."""
    command = [ENGINE, "run", "--rm", tag, "sh", "-ec", script]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def component(kind: str, namespace: str, name: str, version: str, arch: str) -> dict[str, str]:
    """A component of the bill of materials; `-` means no namespace or architecture."""
    where = "" if namespace == "-" else namespace
    purl = PackageURL(kind, where, name, version, {} if arch == "-" else {"arch": arch}).to_string()
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
