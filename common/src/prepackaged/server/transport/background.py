"""Threads for what would hold up the event loop: to read and to write large messages.

Most of such work holds the interpreter, so that more threads would not make it faster. Two let
a smaller message pass by a larger one.
"""

from concurrent.futures import ThreadPoolExecutor

LARGE = 100_000  # bytes of a message that is read on another thread; smaller ones take less time
# than the way there and back

BACKGROUND = ThreadPoolExecutor(2, thread_name_prefix="messages")  # they start when needed
