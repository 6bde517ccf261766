"""Look at the files of an image from within: other tools hand this to its own interpreter.

python3 - weight DIRECTORY... < tools/inside.py    the bytes below each directory, as JSON
python3 - files DIRECTORY... < tools/inside.py     what each file below is, as JSON
"""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path


def files(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """All below the directory but what is mounted there."""
    for path, names, others in os.walk(directory):
        names[:] = [name for name in names if not os.path.ismount(f"{path}/{name}")]
        for name in (*names, *others):
            yield f"{path}/{name}", os.lstat(f"{path}/{name}")


def weight(directory: str) -> int:
    """The bytes of the files, each once that has several names."""
    found = (status for _, status in files(directory) if stat.S_ISREG(status.st_mode))
    return sum({(status.st_dev, status.st_ino): status.st_size for status in found}.values())


def descriptions(directory: str) -> dict[str, str]:
    """Each file's mode and owner, and its content's digest or where it leads."""
    return {path: describe(path, status) for path, status in files(directory)}


def describe(path: str, status: os.stat_result) -> str:
    """One file in one line."""
    owned = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{owned} -> {Path(path).readlink()}"
    if not stat.S_ISREG(status.st_mode):
        return owned
    with Path(path).open("rb") as file:
        return f"{owned} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


if __name__ == "__main__":
    ask = {"weight": weight, "files": descriptions}[sys.argv[1]]
    print(json.dumps([ask(directory) for directory in sys.argv[2:]]))
