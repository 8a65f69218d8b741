"""The heap of glibc kept small on a board of little memory (mallopt(3), malloc_trim(3))."""

import ctypes

_LIBC = ctypes.CDLL(None)

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def keep_one_arena() -> None:
    """Let all threads share one heap, and give large blocks back as soon as they are free."""
    # glibc gives each thread a heap of its own, which a small board cannot spare; musl has no mallopt.
    mallopt = getattr(_LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, 64 * 1024)


def give_back_memory() -> None:
    """Return to the system what is free."""
    # glibc keeps what a TLS handshake or a backlog has freed, some 0.7 MB; musl gives it back by itself.
    trim = getattr(_LIBC, "malloc_trim", None)
    if trim is not None:
        trim(0)
