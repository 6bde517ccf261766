"""Models that a test changes on disk while they are served."""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any


class Reloads:
    """Answers with the text of the file `answer` in its directory.

    Loading fails if the text is `broken`; if it is `exits`, the class names cannot be read, but end
    the process. Loading waits while the file `slow` exists; it touches
    `loading` and `read-by-<process>` first. A prediction of `wait` touches `entered` and waits for
    the file `open`. When the model is freed, it touches `freed-` and its text. These files are
    beside the directory.
    """

    callable_from_any_thread = False

    def __init__(self, model_uri: str) -> None:
        self.model_uri = model_uri
        self.directory = Path(model_uri).resolve()
        self.beside = self.directory.parent
        self.text = ""

    def load(self) -> None:
        self.text = (self.directory / "answer").read_text()
        (self.beside / "loading").touch()
        (self.beside / f"read-by-{os.getpid()}").touch()
        while (self.beside / "slow").exists():
            time.sleep(0.001)
        if self.text == "broken":
            raise ValueError("the answer is broken")
        self.thread = threading.current_thread()

    @property
    def class_names(self) -> Any:
        if self.text == "exits":
            sys.exit(0)
        raise AttributeError

    def predict(self, X: Any, names: Any) -> Any:
        if X == "wait":
            (self.beside / "entered").touch()
            while not (self.beside / "open").exists():
                time.sleep(0.001)
        if X == "main thread":
            return str(self.thread is threading.current_thread() is threading.main_thread())
        return self.text

    def init_metadata(self) -> dict[str, Any]:
        return {"name": self.text}

    def __del__(self) -> None:
        if self.text:
            (self.beside / f"freed-{self.text}").touch()


class OnAnyThread(Reloads):
    """The same for any thread, so that it answers while its successor is loaded.

    It takes so long that it is not called on the event loop after its first call.
    """

    callable_from_any_thread = True

    def predict(self, X: Any, names: Any) -> Any:
        time.sleep(0.005)
        return super().predict(X, names)
