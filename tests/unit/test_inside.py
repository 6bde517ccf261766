import json
import os
import subprocess
import sys
from pathlib import Path

import engine
import inside


def test_a_file_with_two_names_weighs_once(tmp_path: Path) -> None:
    """It lies on the disk once."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below/file").write_bytes(b"12345")
    os.link(tmp_path / "below/file", tmp_path / "again")
    (tmp_path / "link").symlink_to("again")

    assert inside.weight(str(tmp_path)) == 5


def test_a_description_tells_kind_mode_owner_and_content(tmp_path: Path) -> None:
    """Whatever two builds could differ in, except times."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    owner = f"{os.getuid()}:{os.getgid()}"
    # The digest of nothing, see FIPS 180-4's examples.
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    assert inside.descriptions(str(tmp_path)) == {
        f"{tmp_path}/file": f"-rw-r----- {owner} sha256:{digest}",
        f"{tmp_path}/link": f"lrwxrwxrwx {owner} -> file",
    }


def test_it_needs_no_file_of_its_own_in_the_image(tmp_path: Path) -> None:
    """The image's interpreter reads it from its input."""
    (tmp_path / "file").write_bytes(b"123")
    with engine.INSIDE.open() as program:
        printed = subprocess.check_output(
            [sys.executable, "-", "weight", str(tmp_path)], stdin=program
        )

    assert json.loads(printed) == [3]
