"""What becomes of memory once it is free."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MEGABYTE = 2**20
# glibc's numbers for the parameters of mallopt (malloc.h), and what they are set to.
M_TRIM_THRESHOLD, KEPT = -1, 64 * MEGABYTE
M_MMAP_THRESHOLD, LARGEST_KEPT = -3, 32 * MEGABYTE


@contextmanager
def importing() -> Iterator[None]:
    """Keep the garbage collector from looking at modules that stay: a tenth of a server's start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settle() -> None:
    """Once the model is loaded: give back what loading it took, and keep what requests take.

    The garbage collector leaves alone what lasts: to look at it all takes a tenth of a second,
    which requests would wait for again and again. Memory of large bodies is kept for the next
    ones: to return its pages and to ask for them again takes longer than to decode an image.
    """
    gc.collect()
    gc.freeze()
    with suppress(AttributeError, OSError):  # another C library than glibc does as it likes
        libc = ctypes.CDLL(None)
        libc.malloc_trim(0)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
