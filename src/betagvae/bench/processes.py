"""Processes that train or evaluate side by side and tell how long they took."""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import torch

from betagvae.bench.profile import Profile, profiled
from betagvae.data.arrays import open_array
from betagvae.errors import UserError
from betagvae.evaluation.metrics import BATCH_SIZES, Codes, EvaluationSettings, evaluate_split
from betagvae.model.device import PRECISIONS, DeviceImages, generator, set_up
from betagvae.records.provenance import provenance
from betagvae.settings.training import TrainingSettings
from betagvae.training.engine import Engine, take_steps, trainers_of
from betagvae.training.run import check

Span = tuple[float, float]
"""Start and end, seconds on the clock that all processes of the machine share."""


COPIED = 2**30
"""Bytes, many times a GPU's cache."""


@dataclass(frozen=True)
class Mode:
    """How a machine is shared out: processes of so many threads, each with so many trainings."""

    processes: int
    threads: int
    trainings: int = 1
    """In each process: stacked on a GPU, in turns elsewhere."""

    @property
    def at_a_time(self) -> int:
        """Trainings that run side by side."""
        return self.processes * self.trainings

    def __str__(self) -> str:
        """Return the mode in words."""
        processes = "1 process" if self.processes == 1 else f"{self.processes} processes"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        trainings = f" × {self.trainings} trainings" if self.trainings > 1 else ""
        return f"{processes} × {threads}{trainings}"


class Workbench:
    """What one process can be told to do."""

    def __init__(self, number: int, mode: Mode) -> None:
        self.number, self.mode = number, mode
        self.device = set_up(mode.threads)
        self.dtype = torch.float32
        self.engines: list[list[Engine]] = []

    def open(self, array: Path, settings: Sequence[TrainingSettings]) -> None:
        """Get ready to train on an array; each training has a seed of its own."""
        set_up(self.mode.threads, settings[0].precision)
        self.dtype = PRECISIONS[settings[0].precision].dtype
        opened = open_array(array)
        images = DeviceImages(opened, self.device)
        self.engines = []
        for s in settings:
            check(opened, s)
            first = s.seed + self.number * self.mode.trainings
            seeds = range(first, first + self.mode.trainings)
            of_seeds = [replace(s, seed=seed) for seed in seeds]
            engines = trainers_of(images, of_seeds, [0] * len(of_seeds))
            self.engines.append(list(dict.fromkeys(engine for engine, _ in engines)))

    def train(self, cell: int, steps: int) -> Span:
        """Take steps with the engines of one method."""
        return self._timed(lambda: take_steps(self.engines[cell], steps))

    def profile(self, cell: int, steps: int) -> Profile:
        """Take steps on a GPU with the engines of one method; return where their time went."""

        def work() -> None:
            take_steps(self.engines[cell], steps)
            self._wait()

        self._wait()
        return profiled(work, steps)

    def evaluate(self, cell: int, batches: int) -> Span:
        """Evaluate batches of training images with a model of one method."""
        engine = self.engines[cell][0]
        trainer, split = engine.trainer, engine.images.splits["train"]
        images = batches * BATCH_SIZES[self.device.type]
        indices_n = torch.arange(images) % len(split) + split.start
        codes = Codes(trainer.model, engine.images, indices_n)
        measured_n = torch.ones(images, dtype=torch.bool)
        noise = generator(0, "posterior", self.device)
        settings = EvaluationSettings(threads=self.mode.threads, precision=trainer.shared.precision)
        return self._timed(
            lambda: evaluate_split(codes, measured_n, trainer.likelihood, noise, settings)
        )

    def multiply(self, products: int) -> Span:
        """Multiply large matrices, in the precision of a training."""
        side = matrix_side(self.device.type)
        left, right, product = torch.ones(
            3, side, side, device=self.device, dtype=self.dtype
        ).unbind()

        def multiply() -> None:
            for _ in range(products):
                torch.mm(left, right, out=product)

        return self._timed(multiply)

    def multiply_in_parts(self, products: int) -> Span:
        """Multiply as `kernels` do in float32: each product is three of TF32."""
        matmul = torch.backends.cuda.matmul
        before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
        try:
            return self.multiply(3 * products)
        finally:
            matmul.fp32_precision = before

    def copy(self, copies: int) -> Span:
        """Copy `COPIED` bytes from one place of the device's memory to another."""
        source, target = torch.zeros(2, COPIED, device=self.device, dtype=torch.uint8).unbind()

        def copy() -> None:
            for _ in range(copies):
                target.copy_(source)

        return self._timed(copy)

    def memory(self) -> dict[str, int]:
        """Return the largest memory of this process so far, bytes."""
        gpu = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else 0
        return {"resident": peak_resident(), "gpu": gpu}

    def provenance(self) -> dict[str, Any]:
        """Return software and hardware."""
        return {**provenance(self.device), "device_type": self.device.type}

    def _timed(self, work: Callable[[], object]) -> Span:
        self._wait()
        start = time.monotonic()
        work()
        self._wait()
        return start, time.monotonic()

    def _wait(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def matrix_side(device_type: str) -> int:
    """Return the side of matrices that are large enough to reach the device's limit."""
    return 8192 if device_type == "cuda" else 2048


def peak_resident() -> int:
    """Return the largest resident memory of this process, bytes.

    `getrusage` would count the parent's as well, which a process inherits at its start.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise UserError("this system does not tell the largest memory of a process (VmHWM)")


def serve(connection: Connection, number: int, mode: Mode) -> None:
    """Do what the parent asks, until it closes the connection."""
    workbench = Workbench(number, mode)
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send((getattr(workbench, name)(*arguments), None))
        except UserError as error:
            connection.send((None, error))
        except Exception:
            connection.send((None, RuntimeError(traceback.format_exc())))


class Team:
    """As many processes as a mode says, all doing the same at the same time."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode

    def __enter__(self) -> Self:
        """Start the processes; they share nothing with this one."""
        context = multiprocessing.get_context("spawn")
        self._members = []
        for number in range(self.mode.processes):
            ours, theirs = context.Pipe()
            arguments = (theirs, number, self.mode)
            process = context.Process(target=serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, ours))
        return self

    def __exit__(self, *exception: object) -> None:
        """End the processes."""
        for process, connection in self._members:
            connection.close()
            process.terminate()
        for process, _ in self._members:
            process.join()

    def ask(self, name: str, *arguments: object) -> list[Any]:
        """Have every process call a method of `Workbench`; return what each answers."""
        try:
            for _, connection in self._members:
                connection.send((name, arguments))
            answers = [connection.recv() for _, connection in self._members]
        except (EOFError, OSError) as error:
            raise UserError(
                "a process of the benchmark was ended from outside, most often for lack of "
                "memory: run it with fewer --cores"
            ) from error
        for _, failure in answers:
            if failure:
                raise failure
        return [answer for answer, _ in answers]

    def seconds(self, name: str, *arguments: object) -> float:
        """Return the time from the first start to the last end of a timed method."""
        starts, ends = zip(*self.ask(name, *arguments), strict=True)
        return max(ends) - min(starts)
