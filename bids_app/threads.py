"""Run blocks in threads, results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

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
        Threads; linear algebra inside uses one each, in one thread as in many.

    Yields
    ------
    object
        Results in the order of the items.
    """
    # More threads in linear algebra would sum in another order: another result in the last digits.
    with _blas().limit(limits=1):
        if n_threads <= 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(max_workers=n_threads) as pool:
            yield from pool.map(function, items)


@cache
def _blas() -> ThreadpoolController:
    """The libraries of linear algebra; finding them takes longer than a small fit."""
    return ThreadpoolController().select(user_api="blas")
