from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time, and no verdict on how long one took.
settings.register_profile("unit", deadline=None, derandomize=True, database=None)
settings.load_profile("unit")


@pytest.fixture(scope="session")
def cache_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory for uv's cache."""
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture(scope="module")
def private_cache(cache_directory: Path) -> Iterator[None]:
    """A cache of the tests' own: a tool that writes through links into it ruins no other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", str(cache_directory))
        yield
