"""What stands in the registry, as skopeo reads it there.

    python3 tools/published.py host            the registry's host, to log in to
    python3 tools/published.py base            today's base image, with its digest: a BASE_IMAGE
    python3 tools/published.py subject TARGET  `name=` and `digest=` of the image under its tags
    python3 tools/published.py outdated        the CI matrix of targets that are not on today's base

The registry is the environment's REGISTRY, as in tools/images.py.
"""

import json
import re
import subprocess
import sys

import images

HUB = "docker.io"  # where a name without a host is from


class PublishedError(Exception):
    """The registry, or skopeo, does not answer."""


def host(name: str) -> str:
    """The registry's host in an image's name: the first part, where that can be no directory."""
    first, slash, _ = name.partition("/")
    return first if slash and re.search(r"[.:]|^localhost$", first) else HUB


def base_name() -> str:
    """The base image as the Dockerfiles name it, without a digest."""
    named: set[str] = set()
    for image in images.images():
        dockerfile = (images.ROOT / image / "Dockerfile").read_text()
        named.update(re.findall(r"^ARG BASE_IMAGE=([^@\s]+)", dockerfile, re.MULTILINE))
    if len(named) != 1:
        raise PublishedError(f"the Dockerfiles name {len(named)} base images: {sorted(named)}")
    return named.pop()


def subject(target: images.Target) -> str:
    """The image of a target's tags, in the form of a step's outputs on GitHub."""
    tag = target.tags()[0]
    name = tag.rpartition(":")[0]
    full = name if host(name) != HUB or name.startswith(f"{HUB}/") else f"{HUB}/{name}"
    return f"name={full}\ndigest={digest(tag)}"


def outdated() -> str:
    """The targets whose image lies on other layers than those of today's base image."""
    below = layers(base_name())
    targets = [target for target in images.targets().values() if not lies_on(below, target)]
    return json.dumps({"include": [images.matrix_entry(target) for target in targets]})


def lies_on(below: list[str], target: images.Target) -> bool:
    """Whether the image under the target's tag begins with these layers; False without one."""
    try:
        return layers(target.tags()[0])[: len(below)] == below
    except PublishedError as error:
        print(f"{target.name}: {error}", file=sys.stderr)
        return False


def digest(name: str) -> str:
    """The digest of what stands under a tag."""
    return str(json.loads(skopeo("inspect", "--no-tags", f"docker://{name}"))["Digest"])


def layers(name: str) -> list[str]:
    """The digests of an image's layers, the lowest first."""
    config = json.loads(skopeo("inspect", "--config", f"docker://{name}"))
    return [str(digest) for digest in config["rootfs"]["diff_ids"]]


def skopeo(*arguments: str) -> str:
    """What skopeo prints."""
    command = ["skopeo", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise PublishedError("skopeo is not installed here") from error
    if done.returncode:
        raise PublishedError(done.stderr.strip())
    return done.stdout


def answer(words: list[str]) -> str:
    """What the command line asks for."""
    match words:
        case ["host"]:
            return host(f"{images.REGISTRY}/")
        case ["base"]:
            return f"{base_name()}@{digest(base_name())}"
        case ["subject", target]:
            return subject(images.find(target))
        case ["outdated"]:
            return outdated()
    raise PublishedError((__doc__ or "").strip())


if __name__ == "__main__":
    try:
        print(answer(sys.argv[1:]))
    except (PublishedError, images.ImagesError) as error:
        sys.exit(str(error))
