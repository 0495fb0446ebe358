"""Trainings from first step to files, one or several side by side."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from betagvae.data.arrays import ImageArray, open_array
from betagvae.errors import UserError
from betagvae.model.device import DeviceImages, set_up
from betagvae.records.files import sha256, whole_file, write_csv, write_json
from betagvae.records.provenance import device_name, packages, provenance
from betagvae.settings.training import SHARED_BY_A_JOB, TrainingSettings
from betagvae.training.engine import take_steps, trainers_of
from betagvae.training.files import RunFiles
from betagvae.training.history import History, Progress, name_of
from betagvae.training.memory import check_memory
from betagvae.training.resume import Resume


@dataclass(frozen=True)
class Run:
    """A training under way, and where its results go."""

    history: History
    files: RunFiles
    resume: Resume


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
    started = _start(array, runs, resume_seconds, device)
    train_to_the_end(started)
    finish(started, array, device)


def _start(
    array: ImageArray,
    runs: Sequence[tuple[TrainingSettings, RunFiles]],
    resume_seconds: float,
    device: torch.device,
) -> list[Run]:
    """Return the trainings at their first step, or where they were cut."""
    images = DeviceImages(array, device)
    resumes = [_resume(array, settings, files, resume_seconds, device) for settings, files in runs]
    saved = [resume.load() for resume in resumes]
    steps = [state["trainer"]["step_number"] if state else 0 for state in saved]
    engines = trainers_of(images, [settings for settings, _ in runs], steps)
    names = Counter(name_of(settings) for settings, _ in runs)
    return [
        # Where weights and seed do not tell trainings apart, their folders do.
        Run(History(*engine, state, "" if names[name_of(s)] == 1 else str(f.folder)), f, resume)
        for engine, (s, f), resume, state in zip(engines, runs, resumes, saved, strict=True)
    ]


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


def train_to_the_end(runs: Sequence[Run]) -> None:
    """Take the steps of all trainings in turns, until each is finished or has failed.

    Means stay on the device until a row is due, so that no step waits for the one before. In a
    stack the steps of a training that has failed go on beside the others, and count for nothing.
    """
    progress = Progress([run.history for run in runs])
    mark = time.monotonic()
    while active := [run for run in runs if run.history.left]:
        histories = [run.history for run in active]
        engines = list(dict.fromkeys(history.engine for history in histories))
        take_steps(engines, histories[0].settings.log_every)
        means = {engine: engine.means() for engine in engines}
        for history in histories:
            history.add_row(means[history.engine][history.number])
        now = time.monotonic()
        for run in active:
            run.history.seconds += now - mark
            if run.resume.due and not run.history.failure:
                run.resume.save(run.history.state())
        mark = now
        progress.show()


def finish(runs: Sequence[Run], array: ImageArray, device: torch.device) -> None:
    """Write the results of all trainings that did not fail; then raise `UserError` if one did."""
    failures = [run.history.failure for run in runs if run.history.failure]
    done = [run for run in runs if not run.history.failure]
    if failures:
        for run in done:
            run.resume.save(run.history.state())
    for run in done:
        _write_results(run, array, device, len(runs))
    if failures:
        kept = (
            f"; {len(done)} beside it are done and kept while their settings stay" if done else ""
        )
        raise UserError(f"{'; '.join(failures)}: lower training.learning_rate{kept}")
    for run in runs:
        run.resume.remove()


def _write_results(run: Run, array: ImageArray, device: torch.device, side_by_side: int) -> None:
    history, files = run.history, run.files
    write_csv(files.history, history.rows)
    weights = history.engine.trained(history.number).state_dict()
    with whole_file(files.model) as part:
        save_file({name: value.contiguous() for name, value in weights.items()}, part)
    record = {
        "settings": asdict(history.settings),
        "data": dict(array.metadata),
        "weights": {"sha256": sha256(files.model)},
        "seconds": round(history.seconds, 3),
        "steps_per_second": round(history.settings.steps / history.seconds, 2),
        "trained_side_by_side": side_by_side,
        "provenance": provenance(device),
    }
    write_json(files.record, record)


def check_runs(array: ImageArray, runs: Sequence[tuple[TrainingSettings, RunFiles]]) -> None:
    """Raise `UserError` where trainings do not fit the data or each other."""
    for settings, _ in runs:
        check(array, settings)
    for name in SHARED_BY_A_JOB:
        if len({getattr(settings, name) for settings, _ in runs}) > 1:
            raise UserError(f"trainings side by side have the same {name}: train these apart")
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
