"""What the built images weigh, as a Markdown table: `make image-report`.

    python3 tools/image_report.py

Of every target that is built here. The status is 1 where an image adds more to its base image
than images.toml allows. Sizes are those of files, uncompressed, in megabytes of a million bytes.
"""

import sys
from dataclasses import dataclass

import images
from engine import inspect, is_here, weight

BASE = "org.opencontainers.image.base.name"
COLUMNS = ("target", "base", "added", "limit", "of it `/opt/venv`", "layers", "framework")


@dataclass(frozen=True)
class Weight:
    """What one built target weighs, in bytes."""

    target: images.Target
    base: int
    added: int
    environment: int
    layers: int

    @property
    def is_too_much(self) -> bool:
        """Whether the image is above its limit, where it has one."""
        return bool(self.target.limit) and self.added > self.target.limit * 1_000_000

    def cells(self) -> tuple[str, ...]:
        """Its line in the table."""
        sizes = (self.base, self.added, self.environment)
        base, added, environment = (f"{size / 1e6:,.0f}" for size in sizes)
        limit = f"{self.target.limit:,}" if self.target.limit else "none"
        framework = f"{self.target.package} {self.target.version()}"
        return self.target.name, base, added, limit, environment, str(self.layers), framework


def main() -> None:
    """Print the table."""
    targets = images.targets().values()
    weights = [weigh(target) for target in targets if is_here(target.tags()[0])]
    print(images.table(COLUMNS, (weight.cells() for weight in weights)))
    above = [weight.target.name for weight in weights if weight.is_too_much]
    sys.exit(f"above their limits: {', '.join(above)}" if above else None)


def weigh(target: images.Target) -> Weight:
    """Weigh the target's image and the image that it was built on."""
    tag = target.tags()[0]
    described = inspect(tag)
    base = weight(described["Config"]["Labels"][BASE], "/")
    layers = len(described["RootFS"]["Layers"])
    return Weight(target, base, weight(tag, "/") - base, weight(tag, "/opt/venv"), layers)


if __name__ == "__main__":
    main()
