from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Hypothesis uses the same examples each time, without a time limit.
settings.register_profile("unit", deadline=None, derandomize=True, database=None)
settings.load_profile("unit")


@pytest.fixture(scope="session")
def cache_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory as uv's cache."""
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture(scope="module")
def private_cache(cache_directory: Path) -> Iterator[None]:
    """Use a separate uv cache, so that a tool that writes through its links damages no other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", str(cache_directory))
        yield
