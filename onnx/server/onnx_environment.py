"""The process's environment as onnxruntime is to find it; imported before onnxruntime."""

import locale
import os
from pathlib import Path

LOCALE = "en_US.UTF-8"  # what graphs with text look for, unless they name another
LENT = Path(__file__).parent / "locale"  # that name on C.UTF-8, whose letters are the same


def keep_quiet() -> None:
    """Let onnxruntime tell nobody of the models that it runs, unless it was told to.

    By itself it sends their names, producers and hashes to its maker, and keeps a number for
    this machine in the home directory. It reads the variable once, when it is loaded.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def lend_locale() -> None:
    """Let onnxruntime find the locale under the data of C.UTF-8 where the system lacks it.

    Slim images have no other locales than C's, and onnxruntime refuses text models without.
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
