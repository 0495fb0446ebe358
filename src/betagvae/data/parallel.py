"""Work on several processes: arrays in order and with bounded memory, or one thing meanwhile."""

import math
import mmap
import multiprocessing
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from betagvae.errors import UserError

T = TypeVar("T")
R = TypeVar("R")

# Forked processes have everything at once: imports, what is to be done, and shared memory.
_CONTEXT = multiprocessing.get_context("fork")


class Filled(NamedTuple, Generic[R]):
    """What was made of one item."""

    array: np.ndarray
    """Overwritten once the next one is asked for."""
    answer: R


def in_order(
    fill: Callable[[T, np.ndarray], R],
    items: Sequence[T],
    processes: int,
    shape: tuple[int, ...],
) -> Iterator[Filled[R]]:
    """Call ``fill`` with each item and an array to write to; return the results in order.

    Processes, since threads would wait for the interpreter: drawing chairs holds its lock
    throughout. The arrays lie in memory that they share; in a pipe each would be copied twice.

    Parameters
    ----------
    fill
        What it returns goes through a pipe, and so should be small.
    items
        What to do.
    processes
        How many to start, besides the one that calls.
    shape
        Of every array; they are of bytes.
    """
    processes = min(max(1, processes), len(items))
    # Of three for each process, one is being written to, one waits for that, and one is full.
    arrays = _shared(3 * processes, shape)

    def work(index: int) -> R:
        return fill(items[index], arrays[index % len(arrays)])

    workers = [_Worker(work) for _ in range(processes)]
    return _collect(workers, arrays, len(items))


def meanwhile(function: Callable[[], R]) -> Callable[[], R]:
    """Begin ``function()`` in another process; return what waits for its result."""
    worker = _Worker(lambda _: function())
    worker.ask(0)

    def result() -> R:
        try:
            return worker.answer()[1]
        finally:
            worker.stop()

    return result


def _shared(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros, uint8 count×shape, that processes started from now on share."""
    memory = mmap.mmap(-1, max(1, count * math.prod(shape)))
    return np.frombuffer(memory, np.uint8, count * math.prod(shape)).reshape(count, *shape)


class _Worker:
    """A process that calls a function with one number after another."""

    def __init__(self, function: Callable[[int], R]) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        self._process: BaseProcess = _CONTEXT.Process(
            target=_serve, args=(function, theirs, self._connection), daemon=True
        )
        self._process.start()
        theirs.close()

    def fileno(self) -> int:
        """Make `multiprocessing.connection.wait` take it."""
        return self._connection.fileno()

    def ask(self, index: int) -> None:
        """Have the function called; several numbers wait in line."""
        with suppress(ConnectionError):  # `answer` tells what became of the process
            self._connection.send(index)

    def answer(self) -> tuple[int, R]:
        """Wait for one number and what the function returned; raise what it raised."""
        try:
            index, answer, error = self._connection.recv()
        except (EOFError, ConnectionResetError) as cut:
            self._process.join()
            raise UserError(
                f"a process was killed (exit code {self._process.exitcode}), perhaps for want of "
                "memory: run this again, with more memory or fewer threads"
            ) from cut
        if error is not None:
            raise error
        return index, answer

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._connection.close()
        self._process.terminate()
        self._process.join()


def _serve(function: Callable[[int], R], connection: Connection, theirs: Connection) -> None:
    """Answer until the other end is closed, or its process is gone."""
    theirs.close()  # or it would stay open here
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            index = connection.recv()
            try:
                reply = index, function(index), None
            except Exception as error:
                error.add_note(traceback.format_exc())
                reply = index, None, _picklable(error)
            connection.send(reply)


def _picklable(error: Exception) -> Exception:
    """Return the error, or what it says where it cannot be sent to another process."""
    try:
        pickle.dumps(error)
    except Exception:  # whatever its own pickling raises
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _collect(workers: list[_Worker], arrays: np.ndarray, count: int) -> Iterator[Filled[R]]:
    """Keep every process at work, and yield what they make in order."""
    ready = deque(workers * 2)  # each is given its next item before it is done with the last
    given, answers = 0, {}
    try:
        for position in range(count):
            while position not in answers:
                while ready and given < min(count, position + len(arrays)):
                    ready.popleft().ask(given)
                    given += 1
                for worker in wait(workers):
                    index, answer = worker.answer()
                    answers[index] = answer
                    ready.append(worker)
            yield Filled(arrays[position % len(arrays)], answers.pop(position))
    finally:
        for worker in workers:
            worker.stop()
