"""Nipype's process pool, extended to detect workers that were killed."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from typing import Any

from nipype.pipeline.plugins.multiproc import MultiProcPlugin, process_initializer, run_node

from bids_app.errors import TryAgainError
from bids_app.limits import format_bytes, memory_limit
from bids_app.stopping import begin_worker, start_server_of_workers


def _begin(folder: str) -> None:
    begin_worker()
    process_initializer(folder)


def _context(plugin_args: dict[str, Any]) -> BaseContext:
    """How processes are started, with the server that starts them."""
    context = get_context(plugin_args.get("mp_context"))
    if context.get_start_method() == "forkserver":
        start_server_of_workers()
    return context


class WorkerPool(MultiProcPlugin):
    """A step whose process is killed fails; nipype's own pool would wait for it for ever.

    Kernels and schedulers kill what takes too much memory, without a word to the process.
    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        _context(plugin_args)  # before nipype's pool makes semaphores
        super().__init__(plugin_args=plugin_args)
        self.pool.shutdown()  # it has not started any process yet
        self.pool: ProcessPoolExecutor = self._new_pool()
        self._wanted: dict[int, float] = {}

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        self._taskid += 1
        try:
            future = self.pool.submit(run_node, node, updatehash, self._taskid)
        except BrokenExecutor:
            self.pool = self._new_pool()
            future = self.pool.submit(run_node, node, updatehash, self._taskid)
        self._task_obj[self._taskid] = future
        self._wanted[self._taskid] = node.mem_gb
        future.add_done_callback(self._async_callback)
        return self._taskid

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=self.processors,
            initializer=_begin,
            initargs=(self._cwd,),
            mp_context=_context(self.plugin_args),
        )

    def _async_callback(self, args: Future[Any]) -> None:
        try:
            super()._async_callback(args)
        except BrokenExecutor:
            task = next(number for number, future in self._task_obj.items() if future is args)
            self._taskresult[task] = {
                "taskid": task,
                "result": None,
                "traceback": self._obituary(task),
            }

    def _obituary(self, task: int) -> list[str]:
        """What a crash file says about a step that left no traceback."""
        there = memory_limit()
        error = TryAgainError(
            "A process was killed, probably out of memory.",
            found=f"{format_bytes(there.value)} are there ({there.source})",
            wanted=f"about {self._wanted[task]:.1f} GB for this step, {self.processors} at once",
            remedy="run the same command with a lower --nprocs or with more memory, or say with "
            "--mem how much there is; it goes on where it stopped",
        )
        return [f"{type(error).__name__}: {error}"]
