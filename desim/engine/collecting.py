"""Python's garbage collector, kept from going through what stays alive."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def rarely_collecting(workers: int) -> Iterator[None]:
    """Lets the collector come rarely for a while.

    What is alive at the beginning stays alive: without this, the collector goes through all of
    torch's modules, and through all workers while they are built, again and again. A trial makes
    few cycles but many objects, a few hundred a worker.
    """
    threshold = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(max(100 * threshold[0], 100 * workers), *threshold[1:])
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()
