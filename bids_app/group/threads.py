"""Run blocks in threads, results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> Iterator[Result]:
    """Apply a function to every item, in threads if there are several.

    Parameters
    ----------
    function : callable
        Of one item; should release the interpreter's lock.
    items : iterable
        Items.
    n_threads : int
        Threads; linear algebra inside uses one each.

    Yields
    ------
    object
        Results in the order of the items.
    """
    if n_threads <= 1:
        yield from map(function, items)
        return
    with threadpool_limits(limits=1), ThreadPoolExecutor(max_workers=n_threads) as pool:
        yield from pool.map(function, items)
