import os
from pathlib import Path

import pytest

from prepackaged import DeploymentError
from prepackaged.yaml_files import MOST_BYTES, read_mapping


def refusal(path: Path) -> str:
    """Return the error message for a file."""
    with pytest.raises(DeploymentError) as caught:
        read_mapping(path)
    return str(caught.value)


def written(tmp_path: Path, text: str) -> Path:
    """Write a file with this text."""
    (tmp_path / "MLmodel").write_text(text)
    return tmp_path / "MLmodel"


def test_a_mapping_is_read(tmp_path: Path) -> None:
    """A mapping with dates, lists and aliases is read."""
    text = "a: &list [1, 'two']\nb: *list\nc: {d: 2024-01-01, e: null}\n"

    content = read_mapping(written(tmp_path, text))

    assert content["b"] == [1, "two"]
    assert str(content["c"]) == "{'d': datetime.date(2024, 1, 1), 'e': None}"


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 12))]),
        "\n".join(
            [
                "a0: &a0 {x: y}",
                *(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}" for n in range(1, 40)),
            ]
        ),
        "a: &a [*a]",
        f"a: &a {'x' * 100_000}\nb: [{'*a, ' * 1000}]",
    ],
    ids=["lists", "mappings", "itself", "text"],
)
def test_aliases_that_expand_to_millions_are_refused(text: str, tmp_path: Path) -> None:
    """Aliases that expand to millions of values are refused."""
    assert "expected at most 1,000,000 values with aliases, got more" in refusal(
        written(tmp_path, text)
    )


def test_merge_keys_are_refused(tmp_path: Path) -> None:
    """Merge keys are refused, since they expand exponentially while the file is read."""
    lines = [
        "a0: &a0 {x: y}",
        *(f"a{n}: &a{n} {{<<: [{f'*a{n - 1}, ' * 9}]}}" for n in range(1, 12)),
    ]

    assert "cannot be read" in refusal(written(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "? " * 50_000])
def test_lists_in_lists_without_end_are_refused(text: str, tmp_path: Path) -> None:
    """Very deep nesting is refused."""
    assert "MLmodel" in refusal(written(tmp_path, text))


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    """A file that is too large is refused without reading it."""
    path = written(tmp_path, "a: 1\n")
    os.truncate(path, 2**40)

    assert f"cannot be read: it has more than {MOST_BYTES:,} bytes" in refusal(path)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """A pipe is refused, since reading it could block forever."""
    os.mkfifo(tmp_path / "MLmodel")

    assert "cannot be read: it is not a regular file" in refusal(tmp_path / "MLmodel")


@pytest.mark.parametrize(("text", "kind"), [("", "NoneType"), ("[a]", "list"), ("word", "str")])
def test_anything_but_a_mapping_is_refused(text: str, kind: str, tmp_path: Path) -> None:
    """The error for YAML that is no mapping names its type."""
    assert refusal(written(tmp_path, text)).endswith(f"expected a YAML mapping, got {kind}")
