"""Prepare the process's environment; import this before onnxruntime."""

import locale
import os
from pathlib import Path

LOCALE = "en_US.UTF-8"  # the default of graphs that process text
LENT = Path(__file__).parent / "locale"  # C.UTF-8 as en_US.UTF-8; letters are the same


def keep_quiet() -> None:
    """Turn onnxruntime's telemetry off, unless ORT_DISABLE_TELEMETRY is set.

    By default onnxruntime sends names, producers and hashes of models to its maker, and stores an
    ID of the machine in the home directory. It reads the variable once, when it is loaded.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def lend_locale() -> None:
    """Let onnxruntime use the data of C.UTF-8 for en_US.UTF-8, if the system lacks that locale.

    Slim images contain only C locales, and onnxruntime refuses text models without en_US.UTF-8.
    """
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, LOCALE)
    except locale.Error:
        os.environ["LOCPATH"] = str(LENT)
    else:
        locale.setlocale(locale.LC_CTYPE, before)


keep_quiet()
lend_locale()
