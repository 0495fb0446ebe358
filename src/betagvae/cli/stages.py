"""Subcommands that make data, models and their numbers, and measure the machine."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from betagvae.cli.arguments import add_experiment, add_settings, take
from betagvae.errors import UserError
from betagvae.experiment import Experiment
from betagvae.settings.bench import BenchSettings
from betagvae.settings.data import DataSettings
from betagvae.settings.evaluation import EvaluationSettings
from betagvae.settings.quality import QualitySettings, WeightsSettings
from betagvae.settings.scores import ScoreSettings
from betagvae.settings.setting import made
from betagvae.settings.training import TrainingSettings


def _add_data(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("data", help="draw or fetch a data set into one array")
    p.add_argument("name")
    p.add_argument("--output", type=Path, required=True)
    add_settings(p, DataSettings)
    p.set_defaults(command=_data)


def _data(name: str, output: Path, **options: object) -> None:
    from betagvae.data.registry import make_dataset

    make_dataset(name, output, take(options, DataSettings))


def _add_weights(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("weights", help="fetch the weights of a feature network")
    p.add_argument("name", choices=("inception_v3",))
    p.add_argument("--output", type=Path, required=True)
    p.add_argument("--download-dir", type=Path, required=True)
    add_settings(p, WeightsSettings)
    p.set_defaults(command=_weights)


def _weights(name: str, output: Path, download_dir: Path, **options: object) -> None:
    from betagvae.evaluation.inception_weights import fetch_weights

    settings = take(options, WeightsSettings)
    fetch_weights(output, own=settings.path, urls=settings.urls, folder=download_dir)


def _trainings(text: str) -> dict[str, dict[str, Any]]:
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(own, dict) for own in found.values()):
        raise ValueError
    return found


_trainings.__name__ = "JSON of folders with settings"


def _add_train(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("train", help="train a model, or several side by side")
    p.add_argument("data", type=Path)
    p.add_argument(
        "--trainings",
        type=_trainings,
        required=True,
        metavar="JSON",
        help="the folder of each training's results, with the settings that are its own: "
        '\'{"mine/seed0": {"beta": 4, "gamma": 10, "seed": 0}}\'',
    )
    p.add_argument(
        "--resume-seconds",
        type=float,
        default=argparse.SUPPRESS,
        help="how often to save what a cut training goes on from; no result depends on it",
    )
    add_settings(p, TrainingSettings, needed=False)
    p.set_defaults(command=_train)


def _train(data: Path, trainings: dict[str, dict[str, Any]], **options: object) -> None:
    from betagvae.training.run import RunFiles, train

    resuming = {k: options.pop(k) for k in ("resume_seconds",) if k in options}
    runs = [
        (made(TrainingSettings, {**options, **own}, folder), RunFiles(Path(folder)))
        for folder, own in trainings.items()
    ]
    if not runs:
        raise UserError("--trainings names no training: name one at least")
    train(data, runs, **resuming)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("evaluate", help="reconstruction error, KL divergence and codes")
    p.add_argument("data", type=Path)
    p.add_argument("model", type=Path)
    p.add_argument("--metrics", type=Path, required=True)
    p.add_argument("--codes", type=Path, required=True)
    add_settings(p, EvaluationSettings)
    p.set_defaults(command=_evaluate)


def _evaluate(data: Path, model: Path, metrics: Path, codes: Path, **options: object) -> None:
    from betagvae.evaluation.metrics import evaluate

    evaluate(data, model, take(options, EvaluationSettings), metrics=metrics, codes=codes)


def _add_scores(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("scores", help="disentanglement scores of one training")
    p.add_argument("data", type=Path)
    p.add_argument("codes", type=Path, help="codes.safetensors of the training")
    p.add_argument("--metrics", type=Path, required=True, help="its metrics.json")
    p.add_argument("--output", type=Path, required=True)
    add_settings(p, ScoreSettings)
    p.set_defaults(command=_scores)


def _scores(data: Path, codes: Path, metrics: Path, output: Path, **options: object) -> None:
    from betagvae.evaluation.scoring import score

    score(data, codes, metrics, output, take(options, ScoreSettings))


def _add_quality(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("quality", help="how good the images of one training look")
    p.add_argument("data", type=Path)
    p.add_argument("model", type=Path)
    p.add_argument("--output", type=Path, required=True)
    p.add_argument("--weights", type=Path, help="the network's weights, made by `weights`")
    add_settings(p, QualitySettings)
    p.set_defaults(command=_quality)


def _quality(
    data: Path, model: Path, output: Path, weights: Path | None, **options: object
) -> None:
    from betagvae.evaluation.image_quality import judge

    judge(data, model, take(options, QualitySettings), weights=weights, output=output)


def _add_bench(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("bench", help="speed and memory on this machine")
    p.add_argument("--output", type=Path, required=True, help="folder of the results")
    add_experiment(p)
    p.add_argument("--arrays", type=Path, nargs="*", default=(), help="prepared image arrays")
    p.add_argument("--cores", type=int, default=os.cpu_count())
    add_settings(p, BenchSettings)
    p.set_defaults(command=_bench)


def _bench(
    output: Path, experiment: Experiment, arrays: Sequence[Path], cores: int, **options: object
) -> None:
    from betagvae.bench import bench

    bench(experiment, take(options, BenchSettings), output, arrays, cores)


SUBCOMMANDS = (
    _add_data,
    _add_weights,
    _add_train,
    _add_evaluate,
    _add_scores,
    _add_quality,
    _add_bench,
)
