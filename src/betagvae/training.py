"""Trainings from first step to files, one or several side by side."""

import logging
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from betagvae.arrays import ImageArray, open_array
from betagvae.device import DeviceImages, set_up
from betagvae.errors import UserError
from betagvae.files import sha256, whole_file, write_csv, write_json
from betagvae.provenance import device_name, provenance
from betagvae.trainer import Trainer, TrainingSettings, take_steps

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

    def save_if_due(self, state: dict[str, Any]) -> None:
        """Save, unless that was done only a moment ago."""
        if time.monotonic() - self._saved < self.every_seconds:
            return
        with whole_file(self.path) as part:
            torch.save({"identity": self.identity, **state}, part)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Remove the file, once the results are written."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class RunFiles:
    """Where the results of one training go."""

    model: Path
    """Weights, safetensors."""
    history: Path
    """Every term over time, CSV."""
    record: Path
    """How the training came about, JSON."""


def train(
    data: Path, runs: Sequence[tuple[TrainingSettings, RunFiles]], *, resume_seconds: float = 60
) -> None:
    """Train models side by side and write the weights, history and record of each.

    A model gets the same bytes whether it is trained alone or beside others.

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
        When the data or settings do not fit, or a loss is no longer a number.
    """
    first, _ = runs[0]
    device = set_up(first.threads, first.precision)
    array = open_array(data)
    for settings, _ in runs:
        check(array, settings)
    images = DeviceImages(array, device)
    histories = [
        History(Trainer(images, settings), _resume(array, settings, files, device, resume_seconds))
        for settings, files in runs
    ]
    seconds = run(histories)
    for history, (settings, files) in zip(histories, runs, strict=True):
        write_csv(files.history, history.rows)
        weights = history.trainer.model.state_dict()
        with whole_file(files.model) as part:
            save_file({name: value.contiguous() for name, value in weights.items()}, part)
        record = {
            "settings": asdict(settings),
            "data": dict(array.metadata),
            "weights": {"sha256": sha256(files.model)},
            "seconds": round(seconds, 3),
            "steps_per_second": round((settings.steps - history.first) / seconds, 2),
            "trained_side_by_side": len(runs),
            "provenance": provenance(device),
        }
        write_json(files.record, record)
    for history in histories:
        history.resume.remove()


def _resume(
    array: ImageArray,
    settings: TrainingSettings,
    files: RunFiles,
    device: torch.device,
    every_seconds: float,
) -> Resume:
    identity = {
        "settings": repr(settings),
        "data": array.metadata["hashes"]["array"]["sha256"],
        "torch": str(torch.__version__),
        "device": device_name(device),
    }
    path = files.model.with_name(f"{files.model.stem}.resume.pt")
    return Resume(path, identity, every_seconds)


def check(array: ImageArray, settings: TrainingSettings) -> None:
    """Raise `UserError` where data and settings do not fit, before any time is spent."""
    if "train" not in array.splits or len(array.splits["train"]) < settings.batch_size:
        raise UserError(
            f"{array.dataset} has fewer training images than one batch of {settings.batch_size}: "
            "make the array with more images or lower training.batch_size"
        )
    if settings.steps % settings.log_every:
        raise UserError(
            f"training.steps ({settings.steps}) must be a multiple of training.log_every "
            f"({settings.log_every})"
        )


class History:
    """The rows of one training's history, each the mean of every term over `log_every` steps."""

    def __init__(self, trainer: Trainer, resume: Resume) -> None:
        self.trainer, self.resume = trainer, resume
        self.rows: list[dict[str, float]] = []
        if saved := resume.load():
            trainer.restore(saved["trainer"])
            self.rows = saved["rows"]
            log.info("seed %d: going on from step %d", trainer.settings.seed, trainer.step_number)
        self.first = trainer.step_number

    @property
    def finished(self) -> bool:
        """Whether the last step was taken."""
        return self.trainer.step_number >= self.trainer.settings.steps

    def add_row(self) -> None:
        """Wait for the steps that were queued; note their means and save if it is time."""
        step, seed = self.trainer.step_number, self.trainer.settings.seed
        self.rows.append({"step": step, **self.trainer.means()})
        if not math.isfinite(loss := self.rows[-1]["loss"]):
            raise UserError(
                f"the loss of seed {seed} is {loss} at step {step}: lower training.learning_rate"
            )
        self.resume.save_if_due({"trainer": self.trainer.state(), "rows": self.rows})


def run(histories: Sequence[History]) -> float:
    """Run all trainings to their last step, in turns; return the seconds that it took.

    Terms stay on the device until a row is due, so that no step waits for the one before.
    """
    started = time.monotonic()
    progress = Progress(histories)
    while unfinished := [history for history in histories if not history.finished]:
        trainers = [history.trainer for history in unfinished]
        take_steps(trainers, trainers[0].settings.log_every)
        for history in unfinished:
            history.add_row()
        progress.show()
    return time.monotonic() - started


class Progress:
    """A bar for a person at a terminal, a line every half minute for a log; steps of all runs."""

    def __init__(self, histories: Sequence[History]) -> None:
        self.histories = histories
        self.first = sum(history.first for history in histories)
        self.steps = sum(history.trainer.settings.steps for history in histories)
        self.started = self.logged = time.monotonic()
        self.bar = tqdm(
            total=self.steps, initial=self.first, unit="step", disable=not sys.stderr.isatty()
        )

    def show(self) -> None:
        """Tell the speed, the time left and where the two terms of eq. 7 stand."""
        step = sum(history.trainer.step_number for history in self.histories)
        self.bar.update(step - self.bar.n)
        now = time.monotonic()
        if self.bar.disable and (now - self.logged > 30 or step == self.steps):
            speed = (step - self.first) / (now - self.started)
            row = self.histories[0].rows[-1]
            log.info(
                "step %d of %d, %.1f steps/s, %.0f s left, reconstruction error %.3f, KL %.3f",
                *(step, self.steps, speed, (self.steps - step) / speed),
                *(row["reconstruction_error"], row["kl"]),
            )
            self.logged = now
