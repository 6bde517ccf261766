"""Threads that parse and serialise large messages, so that the event loop is not blocked.

Most of this work holds the interpreter lock, so more threads would not make it faster. With two, a
small message can overtake a large one.
"""

from concurrent.futures import ThreadPoolExecutor

LARGE = 100_000  # bytes of a message that is read on another thread; smaller ones take less time
# than the way there and back

BACKGROUND = ThreadPoolExecutor(2, thread_name_prefix="messages")  # they start when needed
