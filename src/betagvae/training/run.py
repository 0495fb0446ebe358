"""Trainings from first step to files, one or several side by side."""

import logging
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from betagvae.data.arrays import ImageArray, open_array
from betagvae.errors import UserError
from betagvae.model.device import DeviceImages, set_up
from betagvae.records.files import sha256, whole_file, write_csv, write_json
from betagvae.records.provenance import device_name, packages, provenance
from betagvae.settings.training import TrainingSettings
from betagvae.training.engine import Engine, take_steps, trainers_of
from betagvae.training.memory import check_memory

log = logging.getLogger(__name__)


class Resume:
    """A scratch file from which a cut run goes on.

    It is kept beside the results but is none of them, so nobody deletes it with a failed job.
    """

    def __init__(self, path: Path, identity: dict[str, Any], every_seconds: float) -> None:
        self.path = path
        self.identity = identity
        self.every_seconds = every_seconds
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, on the CPU; None without one, or when it is of another run."""
        if not self.path.exists():
            return None
        try:
            # Random streams take their state from the CPU, whatever device they are on.
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            log.warning("%s cannot be read (%s): starting over", self.path, error)
            return None
        if saved["identity"] != self.identity:
            log.warning("%s is of another configuration or machine: starting over", self.path)
            return None
        return saved

    @property
    def due(self) -> bool:
        """Whether the last saving was not only a moment ago."""
        return time.monotonic() - self._saved >= self.every_seconds

    def save(self, state: dict[str, Any]) -> None:
        """Save, in place of what was saved before."""
        with whole_file(self.path) as part:
            torch.save({"identity": self.identity, **state}, part)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Remove the file, once the results are written."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class RunFiles:
    """The folder that the results of one training go to, and the files in it."""

    folder: Path

    @property
    def model(self) -> Path:
        """Weights, safetensors."""
        return self.folder / "model.safetensors"

    @property
    def history(self) -> Path:
        """Every term over time, CSV."""
        return self.folder / "history.csv"

    @property
    def record(self) -> Path:
        """How the training came about, JSON."""
        return self.folder / "training.json"

    @property
    def resume(self) -> Path:
        """What a cut training goes on from; see `Resume`."""
        return self.folder / "model.resume.pt"


def train(
    data: Path, runs: Sequence[tuple[TrainingSettings, RunFiles]], *, resume_seconds: float = 60
) -> None:
    """Train models side by side and write the weights, history and record of each.

    A model gets the same bytes whether it is trained alone or beside others. Where one fails, the
    others are trained to their end and written, and what they end with is kept to go on from: the
    workflow deletes all results of a job that fails.

    Parameters
    ----------
    data
        The image array; its train split is used.
    runs
        What the weights of each model depend on besides the data, and where its results go.
        Threads, precision, steps and log_every are the same for all.
    resume_seconds
        How often to save the state from which a cut run goes on. It does not change any result.

    Raises
    ------
    UserError
        When data, settings or the machine do not fit, or a loss is no longer a number.
    """
    first, _ = runs[0]
    device = set_up(first.threads, first.precision)
    array = open_array(data)
    check_runs(array, runs)
    check_memory(array, [settings for settings, _ in runs], device)
    images = DeviceImages(array, device)
    resumes = [_resume(array, settings, files, resume_seconds, device) for settings, files in runs]
    saved = [resume.load() for resume in resumes]
    steps = [state["trainer"]["step_number"] if state else 0 for state in saved]
    trainers = trainers_of(images, [settings for settings, _ in runs], steps)
    histories = [
        History(*trainer, files, resume, state)
        for trainer, (_, files), resume, state in zip(trainers, runs, resumes, saved, strict=True)
    ]
    train_to_the_end(histories)
    finish(histories, array, device)


def finish(histories: Sequence["History"], array: ImageArray, device: torch.device) -> None:
    """Write the results of all trainings that did not fail; then raise `UserError` if one did."""
    failures = [history.failure for history in histories if history.failure]
    done = [history for history in histories if not history.failure]
    if failures:
        for history in done:
            history.resume.save(history.state())
    for history in done:
        _write_results(history, array, device, len(histories))
    if failures:
        kept = (
            f"; {len(done)} beside it are done and kept while their settings stay" if done else ""
        )
        raise UserError(f"{'; '.join(failures)}: lower training.learning_rate{kept}")
    for history in histories:
        history.resume.remove()


def _resume(
    array: ImageArray,
    settings: TrainingSettings,
    files: RunFiles,
    every_seconds: float,
    device: torch.device,
) -> Resume:
    identity = {
        "settings": repr(settings),
        "data": array.metadata["hashes"]["array"]["sha256"],
        "packages": packages(device),
        "device": device_name(device),
    }
    return Resume(files.resume, identity, every_seconds)


def _write_results(
    history: "History", array: ImageArray, device: torch.device, side_by_side: int
) -> None:
    files, settings = history.files, history.settings
    write_csv(files.history, history.rows)
    weights = history.trainer.trained(history.number).state_dict()
    with whole_file(files.model) as part:
        save_file({name: value.contiguous() for name, value in weights.items()}, part)
    record = {
        "settings": asdict(settings),
        "data": dict(array.metadata),
        "weights": {"sha256": sha256(files.model)},
        "seconds": round(history.seconds, 3),
        "steps_per_second": round(settings.steps / history.seconds, 2),
        "trained_side_by_side": side_by_side,
        "provenance": provenance(device),
    }
    write_json(files.record, record)


def check_runs(array: ImageArray, runs: Sequence[tuple[TrainingSettings, RunFiles]]) -> None:
    """Raise `UserError` where trainings do not fit the data or each other."""
    for settings, _ in runs:
        check(array, settings)
    for folder, trainings in Counter(files.folder.resolve() for _, files in runs).items():
        if trainings > 1:
            raise UserError(f"{trainings} trainings have the folder {folder}: give each its own")


def check(array: ImageArray, settings: TrainingSettings) -> None:
    """Raise `UserError` where data and settings do not fit, before any time is spent."""
    if "train" not in array.splits or len(array.splits["train"]) < settings.batch_size:
        raise UserError(
            f"{array.dataset} has fewer training images than one batch of {settings.batch_size}: "
            "make the array with more images or lower training.batch_size"
        )


class History:
    """The rows of one training's history, each the mean of every term over `log_every` steps."""

    def __init__(
        self,
        trainer: Engine,
        number: int,
        files: RunFiles,
        resume: Resume,
        saved: dict[str, Any] | None,
    ) -> None:
        """Begin the history of a trainer's training of a number, or go on from what is saved."""
        self.trainer, self.number, self.files, self.resume = trainer, number, files, resume
        self.settings = trainer.settings[number]
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self.failure: str | None = None
        if saved:
            trainer.restore(number, saved["trainer"])
            self.rows, self.seconds = saved["rows"], saved["seconds"]
            log.info("%s: going on from step %d", self.name, trainer.step_number)
        else:
            log.info("%s: starting", self.name)

    @property
    def name(self) -> str:
        """The training in words."""
        s = self.settings
        return f"β = {s.beta:g}, γ = {s.gamma:g}, seed {s.seed}"

    @property
    def left(self) -> int:
        """Steps that are still to be taken."""
        return 0 if self.failure else self.settings.steps - self.trainer.step_number

    def add_row(self, means: dict[str, float]) -> None:
        """Note the means of the terms since the last row."""
        step = self.trainer.step_number
        self.rows.append({"step": step, **means})
        if not math.isfinite(loss := self.rows[-1]["loss"]):
            self.failure = f"{self.name}: the loss is {loss} at step {step}"
            log.warning("%s; it ends here", self.failure)

    def save_if_due(self) -> None:
        """Save what a cut training goes on from, if it is time; never what has failed."""
        if not self.failure and self.resume.due:
            self.resume.save(self.state())

    def state(self) -> dict[str, Any]:
        """Return all that a cut training goes on from."""
        return {
            "trainer": self.trainer.state(self.number),
            "rows": self.rows,
            "seconds": self.seconds,
        }


def train_to_the_end(histories: Sequence[History]) -> None:
    """Take the steps of all trainers in turns, until each training is finished or has failed.

    Terms stay on the device until a row is due, so that no step waits for the one before. In a
    stack the steps of a training that has failed go on beside the others, and count for nothing.
    """
    progress = Progress(histories)
    mark = time.monotonic()
    while active := [history for history in histories if history.left]:
        trainers = list(dict.fromkeys(history.trainer for history in active))
        take_steps(trainers, active[0].settings.log_every)
        means = {trainer: trainer.means() for trainer in trainers}
        for history in active:
            history.add_row(means[history.trainer][history.number])
        now = time.monotonic()
        for history in active:
            history.seconds += now - mark
            history.save_if_due()
        mark = now
        progress.show()


class Progress:
    """A bar for a person at a terminal, a line every half minute for a log; steps of all runs."""

    def __init__(self, histories: Sequence[History]) -> None:
        self.histories = histories
        self.first = self._steps()
        self.started = self.logged = time.monotonic()
        self.bar = tqdm(
            total=self.first + self._left(),
            initial=self.first,
            unit="step",
            disable=not sys.stderr.isatty(),
        )

    def _steps(self) -> int:
        return sum(history.trainer.step_number for history in self.histories)

    def _left(self) -> int:
        return sum(history.left for history in self.histories)

    def show(self) -> None:
        """Tell the speed, the time left and where the first training's terms of eq. 7 stand."""
        step, left = self._steps(), self._left()
        self.bar.update(step - self.bar.n)
        now = time.monotonic()
        if self.bar.disable and (now - self.logged > 30 or not left):
            speed = (step - self.first) / (now - self.started)
            first = self.histories[0]
            log.info(
                "step %d of %d, %.1f steps/s, %.0f s left; %s: reconstruction error %.3f, KL %.3f",
                *(step, step + left, speed, left / speed, first.name),
                *(first.rows[-1]["reconstruction_error"], first.rows[-1]["kl"]),
            )
            self.logged = now
