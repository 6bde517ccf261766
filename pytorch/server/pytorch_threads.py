"""Set the number of threads that PyTorch uses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def use_configured_threads() -> None:
    """Use as many threads as OMP_NUM_THREADS says, which the server sets if it is not set."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"].partition(",")[0]))


@contextmanager
def one_thread() -> Iterator[None]:
    """In this block, PyTorch starts no threads, because threads do not survive a fork.

    CUDA and compiled code need threads, so their models are loaded after the fork.
    """
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
