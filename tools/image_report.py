"""What the built images weigh, as a Markdown table: `make image-report`.

Of every target that is built here. The status is 1 where an image adds more to its base image
than images.toml allows; a variant for GPUs may add any number, for CUDA's libraries weigh what
they weigh. Sizes are those of files, uncompressed, in megabytes of a million bytes.
"""

import sys

import images
from engine import engine, inspect, weight

BASE = "org.opencontainers.image.base.name"
COLUMNS = ("target", "base", "added", "limit", "`/opt/venv`", "layers", "framework")


def main() -> None:
    """Print the table."""
    targets = images.targets().values()
    here = (each for each in targets if engine("image", "ls", "--quiet", each.tags()[0]))
    built = {each.name: (each, *sizes(each)) for each in here}
    for line in (COLUMNS, ["---"] * len(COLUMNS), *(cells(*each) for each in built.values())):
        print(f"| {' | '.join(line)} |")
    above = [name for name, (each, _, added, _) in built.items() if is_too_much(each, added)]
    sys.exit(f"above their limits: {', '.join(above)}" if above else None)


def sizes(target: images.Target) -> tuple[int, int, int]:
    """The bytes of the image below the target's, what it adds to that, and its environment."""
    tag = target.tags()[0]
    base = weight(inspect(tag)["Config"]["Labels"][BASE], "/")
    return base, weight(tag, "/") - base, weight(tag, "/opt/venv")


def is_too_much(target: images.Target, added: int) -> bool:
    """Whether the image adds more bytes than it may."""
    limit = target.image.megabytes * 1_000_000
    return not target.is_gpu and 0 < limit < added


def cells(target: images.Target, *sizes: int) -> list[str]:
    """The target's line in the table."""
    base, added, environment = (f"{size / 1e6:,.0f}" for size in sizes)
    limit = "none" if target.is_gpu else f"{target.image.megabytes:,}"
    layers = len(inspect(target.tags()[0])["RootFS"]["Layers"])
    framework = f"{target.package} {target.version()}"
    return [target.name, base, added, limit, environment, str(layers), framework]


if __name__ == "__main__":
    main()
