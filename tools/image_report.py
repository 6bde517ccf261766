"""What the built images weigh, as a Markdown table: `make image-report`.

Of every target that is built here. `limit` is what images.toml allows an image to add to its base
image; a variant for GPUs may add any number, for CUDA's libraries weigh what they weigh. Sizes
are those of files, uncompressed, in megabytes of a million bytes.
"""

import images
from engine import engine, inspect, weight

BASE = "org.opencontainers.image.base.name"
COLUMNS = ("target", "base", "added", "limit", "`/opt/venv`", "layers", "framework")


def main() -> None:
    """Print the table."""
    built = (
        target
        for target in images.targets().values()
        if engine("image", "ls", "--quiet", target.tags()[0])
    )
    for line in (COLUMNS, ["---"] * len(COLUMNS), *map(cells, built)):
        print(f"| {' | '.join(line)} |")


def sizes(target: images.Target) -> tuple[int, int, int]:
    """The bytes of the image below the target's, what it adds to that, and its environment."""
    tag = target.tags()[0]
    base = weight(inspect(tag)["Config"]["Labels"][BASE], "/")
    return base, weight(tag, "/") - base, weight(tag, "/opt/venv")


def cells(target: images.Target) -> list[str]:
    """The target's line in the table."""
    base, added, environment = (f"{size / 1e6:,.0f}" for size in sizes(target))
    limit = "none" if target.is_gpu else f"{target.image.megabytes:,}"
    layers = len(inspect(target.tags()[0])["RootFS"]["Layers"])
    framework = f"{target.package} {target.version()}"
    return [target.name, base, added, limit, environment, str(layers), framework]


if __name__ == "__main__":
    main()
