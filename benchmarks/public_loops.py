"""Public implementations' own training loops, run from a checkout and timed step by step.

A loop runs in a process of its own, from its own command line to its own optimiser. All that is
changed is done here at run time: its data loader waits between rounds, and what today's libraries
no longer have is put back. The checkout is copied first, so that nothing is written into it.
"""

import importlib
import importlib.util
import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import torch

from betagvae.errors import UserError

SKIPPED = 8
"""Steps of a round before its clock starts: the loader worked ahead while the loop waited."""


@dataclass(frozen=True)
class PublicLoop:
    """A repository, and how its training is started."""

    repository: str
    commit: str
    loader: str
    """Module and function that makes the data loader, as `module:function`."""
    imported_by: str
    """The module that holds that function under its own name when training starts."""
    arguments: Callable[[str, str], list[str]]
    """Data set and network to the command line; the data are in ``data``."""
    root: bool = False
    """Whether the loader is told where the data are by a keyword, not by the command line."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """What takes part in a step and is not in our environment: module to the packages that it
    takes."""


def _konny_arguments(dataset: str, network: str) -> list[str]:
    name = {"dsprites": "dsprites", "celeba": "CelebA"}[dataset]
    model = {"higgins": "H", "burgess": "B"}[network]
    words = f"--dset_dir data --dataset {name} --model {model} --batch_size 64"
    return [*words.split(), "--viz_on", "false", "--save_output", "false"]


def _yanndubs_arguments(dataset: str, network: str) -> list[str]:
    words = f"timed -d {dataset} -m {network.capitalize()} -l betaH -b 64 --lr 1e-4 --no-test"
    return words.split()


PUBLIC_LOOPS = {
    "1Konny/Beta-VAE": PublicLoop(
        repository="1Konny/Beta-VAE",
        commit="977a1ece88e190dd8a556b4e2efb665f759d0772",
        loader="dataset:return_data",
        imported_by="solver",
        arguments=_konny_arguments,
    ),
    "YannDubs/disentangling-vae": PublicLoop(
        repository="YannDubs/disentangling-vae",
        commit="f0452191bab6d94eba0b4e6a065f74dcfd54ac52",
        loader="utils.datasets:get_dataloaders",
        imported_by="utils.datasets",
        arguments=_yanndubs_arguments,
        root=True,
        needs={"skimage": "scikit-image lazy-loader imageio tifffile"},
    ),
}


@dataclass(frozen=True)
class LoopSettings:
    """A public loop, and what it is to train."""

    loop: PublicLoop
    dataset: str
    network: str
    data: Path
    """The folder in which it finds its images."""
    threads: int


def check_loop(loop: PublicLoop, checkout: Path) -> None:
    """Raise `UserError` unless the folder holds the very commit, unchanged, and it can run."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), *words]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    if git("rev-parse", "HEAD") != loop.commit:
        raise UserError(f"{checkout} is not {loop.repository} at {loop.commit}: check that out")
    if changed := git("diff", "--name-only", "HEAD", "--", "*.py", "*.ini"):
        raise UserError(f"{checkout}: {changed.split()} differ from the commit: restore them")
    for module, packages in loop.needs.items():
        if importlib.util.find_spec(module) is None:
            raise UserError(
                f"{loop.repository} reads images with {module}: install it "
                f"(.venv/bin/python -m pip install {packages} --no-deps)"
            )


class PacedLoader:
    """A data loader that hands out batches only while a round lasts, and tells how long it took.

    It never ends, so the loop stays in its first epoch: what it does between epochs (samples,
    checkpoints) is not timed.
    """

    def __init__(self, loader: Any, connection: Connection) -> None:  # noqa: ANN401
        self._loader = loader
        self._connection = connection
        self._step = self._last = 0

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Pass on what a loop wants to know of its loader."""
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Any]:
        """Yield batches; when one is asked for, the step with the one before is done."""
        start = 0.0
        while True:
            for batch in self._loader:
                if self._step == self._last:
                    self._step, self._last = 0, SKIPPED + self._connection.recv()
                yield batch
                self._step += 1
                if self._step == SKIPPED:
                    start = now()
                if self._step == self._last:
                    self._connection.send(now() - start)


def now() -> float:
    """Return the time, seconds, at which all that the device was given is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic()


def run_loop(connection: Connection, settings: LoopSettings, folder: Path) -> None:
    """Run a public loop in this process, at the pace that the connection sets."""
    with (folder / "output.log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(folder)
    Path("data").symlink_to(settings.data)
    sys.path.insert(0, str(folder))
    sys.argv = ["main.py", *settings.loop.arguments(settings.dataset, settings.network)]
    torch.set_num_threads(settings.threads)
    try:
        put_back_what_is_missing()
        pace(settings, connection)
        runpy.run_path("main.py", run_name="__main__")
    except EOFError:  # the other end is closed: no further round
        return
    except BaseException:
        connection.send(traceback.format_exc())
        raise


def pace(settings: LoopSettings, connection: Connection) -> None:
    """Have the loop's data loader wait between rounds."""
    module, function = settings.loop.loader.split(":")
    make = getattr(importlib.import_module(module), function)
    more = {"root": str(settings.data)} if settings.loop.root else {}

    def paced(*arguments: object, **options: object) -> PacedLoader:
        return PacedLoader(make(*arguments, **more, **options), connection)

    setattr(importlib.import_module(settings.loop.imported_by), function, paced)


def put_back_what_is_missing() -> None:
    """Stand in for what the loops import and today's environment lacks; no step uses any of it."""
    # Their loaders' processes are forks, as was the default when they were written.
    multiprocessing.set_start_method("fork", force=True)
    if not hasattr(np, "product"):
        np.product = np.prod
    for package in ("visdom", "imageio", "pandas"):
        if importlib.util.find_spec(package) is None:
            sys.modules[package] = ModuleType(package)


class Peer:
    """A public loop in a process of its own, waiting for rounds."""

    def __init__(self, settings: LoopSettings, checkout: Path, folder: Path) -> None:
        shutil.copytree(checkout, folder, ignore=shutil.ignore_patterns(".git", "results", "data"))
        self._settings, self._folder = settings, folder

    def __enter__(self) -> Self:
        """Start the loop."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # No daemon: the loops' data loaders start processes of their own.
        arguments = (theirs, self._settings, self._folder)
        self._process = context.Process(target=run_loop, args=arguments)
        self._process.start()
        theirs.close()
        return self

    def __exit__(self, *exception: object) -> None:
        """End the loop."""
        self._connection.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def seconds(self, steps: int) -> float:
        """Return how long so many whole steps of the loop take."""
        try:
            self._connection.send(steps)
            taken = self._connection.recv()
        except (EOFError, OSError) as error:
            output = (self._folder / "output.log").read_text()
            raise UserError(f"the public loop has ended: {output[-2000:]}") from error
        if isinstance(taken, str):
            raise UserError(f"the public loop has failed: {taken}")
        return taken
