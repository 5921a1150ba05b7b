"""How much memory there is."""

import os


def memory_bytes() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def in_gb(size_bytes: float) -> str:
    """A size as it stands in messages, 1 GB = 10^9 bytes."""
    return f"{size_bytes / 1e9:,.3g} GB"
