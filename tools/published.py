"""The CI matrix of the targets whose published image lies on another base than today's.

python3 tools/published.py BASE

BASE is the base image, as `make base` prints it; skopeo reads both in their registries. REGISTRY
is the environment's, as in tools/images.py.
"""

import json
import subprocess
import sys

import images


def outdated(base: str) -> list[images.Target]:
    """The targets to build anew; one that is not published, or out of reach, is among them."""
    below = layers(base)
    return [target for target in images.targets().values() if not lies_on(below, target)]


def lies_on(below: list[str], target: images.Target) -> bool:
    """Whether the image under the target's tag begins with these layers; False without one."""
    try:
        return layers(target.tags()[0])[: len(below)] == below
    except subprocess.CalledProcessError as error:
        print(f"{target.name}: {error.stderr.strip()}", file=sys.stderr)
        return False


def layers(name: str) -> list[str]:
    """The digests of an image's layers, the lowest first."""
    command = ["skopeo", "inspect", "--config", f"docker://{name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [str(digest) for digest in json.loads(done.stdout)["rootfs"]["diff_ids"]]


if __name__ == "__main__":
    try:
        print(images.matrix(outdated(*sys.argv[1:])))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{sys.argv[1]}: {error.stderr.strip()}")
