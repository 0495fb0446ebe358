"""Subcommands that make data, models and their numbers, and measure the machine."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from betagvae.cli.arguments import add_methods, pair, training_run, with_tuples


def _add_data(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("data", help="draw or fetch a data set into one array")
    p.add_argument("name")
    p.add_argument("--output", type=Path, required=True)
    p.add_argument("--source", choices=("drawn", "original"), required=True)
    p.add_argument("--path", type=Path, help="your own copy of the archive")
    p.add_argument("--partition-path", type=Path, help="your own list_eval_partition.txt")
    p.add_argument("--urls", nargs="*", default=(), help="sources of the archive to try first")
    p.add_argument("--partition-urls", nargs="*", default=())
    p.add_argument("--images", type=int, help="number of stand-in images to draw")
    p.add_argument("--crop", type=int, nargs=4, metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"))
    p.add_argument("--test-fraction", type=float, default=0.1)
    p.add_argument("--download-dir", type=Path, default=Path("data/downloads"))
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    p.set_defaults(command=_data)


def _data(name: str, output: Path, **options: object) -> None:
    from betagvae.data.registry import make_dataset
    from betagvae.settings.data import DataSettings

    make_dataset(name, output, DataSettings(**with_tuples(options)))


def _add_weights(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("weights", help="fetch the weights of a feature network")
    p.add_argument("name", choices=("inception_v3",))
    p.add_argument("--output", type=Path, required=True)
    p.add_argument("--path", type=Path, help="your own copy of the weights")
    p.add_argument("--urls", nargs="*", default=(), help="sources to try first")
    p.add_argument("--download-dir", type=Path, default=Path("data/downloads"))
    p.set_defaults(command=_weights)


def _weights(
    name: str, output: Path, path: Path | None, urls: Sequence[str], download_dir: Path
) -> None:
    from betagvae.evaluation.inception_weights import fetch_weights

    fetch_weights(output, own=path, urls=tuple(urls), folder=download_dir)


def _add_train(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("train", help="train a model, or several side by side")
    p.add_argument("data", type=Path)
    p.add_argument(
        "--runs",
        type=training_run,
        nargs="+",
        required=True,
        metavar="BETA,GAMMA,SEED=FOLDER",
        help="weights of eq. 7 and seed of each training, and the folder of its results",
    )
    p.add_argument("--resume-seconds", type=float, default=60)
    _add_training_settings(p, likelihood_required=True)
    p.set_defaults(command=_train)


PRECISIONS = ("float32", "tf32", "bfloat16")
"""Names in `betagvae.model.device.PRECISIONS`, whose import is too slow for every command."""


def _add_training_settings(p: argparse.ArgumentParser, *, likelihood_required: bool) -> None:
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--learning-rate", type=float, default=1e-4)
    p.add_argument("--adam-betas", type=float, nargs=2, default=(0.9, 0.999))
    p.add_argument("--network", choices=("higgins", "burgess"), default="higgins")
    p.add_argument("--latents", type=int, default=10)
    likelihoods = ("bernoulli", "squared_error")
    p.add_argument("--likelihood", choices=likelihoods, required=likelihood_required)
    rewards = ("probability", "log_probability", "logit")
    p.add_argument("--reward", choices=rewards, default="probability")
    p.add_argument("--discriminator-layers", type=int, default=6)
    p.add_argument("--discriminator-units", type=int, default=1000)
    p.add_argument("--discriminator-learning-rate", type=float, default=1e-4)
    p.add_argument("--discriminator-adam-betas", type=float, nargs=2, default=(0.5, 0.9))
    p.add_argument("--log-every", type=int, default=100)
    _add_threads_and_precision(p)


def _add_threads_and_precision(p: argparse.ArgumentParser) -> None:
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])


def _train(
    data: Path,
    runs: Sequence[tuple[float, float, int, Path]],
    resume_seconds: float,
    **options: object,
) -> None:
    from betagvae.settings.training import TrainingSettings
    from betagvae.training.run import RunFiles, train

    shared = with_tuples(options)
    trainings = [
        (TrainingSettings(beta=beta, gamma=gamma, seed=seed, **shared), RunFiles(folder))
        for beta, gamma, seed, folder in runs
    ]
    train(data, trainings, resume_seconds=resume_seconds)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("evaluate", help="reconstruction error, KL divergence and codes")
    p.add_argument("data", type=Path)
    p.add_argument("model", type=Path)
    p.add_argument("--metrics", type=Path, required=True)
    p.add_argument("--codes", type=Path, required=True)
    p.add_argument("--encoded-images", type=int, help="images of each split; all by default")
    p.add_argument("--images", type=int, help="how many of these to decode; all by default")
    p.add_argument("--batch-size", type=int, help="chosen by device by default")
    p.add_argument("--seed", type=int, default=0)
    _add_threads_and_precision(p)
    p.set_defaults(command=_evaluate)


def _evaluate(data: Path, model: Path, metrics: Path, codes: Path, **options: object) -> None:
    from betagvae.evaluation.metrics import EvaluationSettings, evaluate

    evaluate(data, model, EvaluationSettings(**options), metrics=metrics, codes=codes)


SIZES = {
    "mig_points": int,
    "bins": int,
    "train_points": int,
    "test_points": int,
    "dci_trees": int,
    "dci_depth": int,
    "train_votes": int,
    "evaluation_votes": int,
    "batch": int,
    "least_variance": float,
    "infomec_points": int,
    "infomec_neighbours": int,
    "infomec_least_range": float,
    "infomec_iterations": int,
    "active_variance": float,
    "correlation_samples": int,
    "correlation_subset": int,
}
"""Fields of `betagvae.evaluation.scores.ScoreSizes`, whose import is too slow for every command."""


def _add_scores(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("scores", help="disentanglement scores of one run")
    p.add_argument("data", type=Path)
    p.add_argument("codes", type=Path, help="codes.safetensors of the run")
    p.add_argument("--metrics", type=Path, required=True, help="metrics.json of the run")
    p.add_argument("--output", type=Path, required=True)
    p.add_argument("--seed", type=int, default=0)
    for name, kind in SIZES.items():
        p.add_argument(f"--{name.replace('_', '-')}", type=kind, default=argparse.SUPPRESS)
    p.set_defaults(command=_scores)


def _scores(
    data: Path, codes: Path, metrics: Path, output: Path, seed: int, **sizes: float
) -> None:
    from betagvae.evaluation.scores import ScoreSizes
    from betagvae.evaluation.scoring import score

    score(data, codes, metrics, output, seed=seed, sizes=ScoreSizes(**sizes))


NETWORKS = ("inception_v3", "efficientnet_lite0")
"""Names in `evaluation.feature_networks.NETWORKS`, whose import is too slow for every command."""


def _add_quality(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("quality", help="how good the images of one run look")
    p.add_argument("data", type=Path)
    p.add_argument("model", type=Path)
    p.add_argument("--output", type=Path, required=True)
    p.add_argument("--features", choices=NETWORKS, required=True, help="feature network")
    p.add_argument("--weights", type=Path, help="the network's weights, made by `weights`")
    p.add_argument("--images", type=int, default=10_000)
    p.add_argument("--batch-size", type=int, default=100)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    p.set_defaults(command=_quality)


def _quality(data: Path, model: Path, output: Path, **options: object) -> None:
    from betagvae.evaluation.image_quality import QualitySettings, judge

    judge(data, model, QualitySettings(**options), output=output)


def _dataset_settings(text: str) -> tuple[str, dict[str, object]]:
    name, _, settings = text.partition("=")
    return name, with_tuples(json.loads(settings or "{}"))


def _add_bench(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("bench", help="speed and memory on this machine")
    p.add_argument("--output", type=Path, required=True, help="folder of the results")
    p.add_argument(
        "--datasets",
        type=_dataset_settings,
        nargs="+",
        required=True,
        metavar="NAME[=JSON]",
        help="data sets, and what they change of the flags below: celeba='{\"steps\": 1000}'",
    )
    add_methods(p)
    p.add_argument("--table1", metavar="NAME", help="data set of Table 1")
    p.add_argument("--pairs", type=pair, nargs="*", default=(), metavar="BETA,GAMMA")
    p.add_argument("--seeds", type=int, nargs="+", default=(0,))
    p.add_argument("--arrays", type=Path, nargs="*", default=(), help="prepared image arrays")
    p.add_argument("--cores", type=int, default=os.cpu_count())
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1, help="length of one measurement")
    _add_training_settings(p, likelihood_required=False)
    p.set_defaults(command=_bench)


def _bench(
    output: Path,
    datasets: list[tuple[str, dict[str, object]]],
    methods: list[tuple[str, tuple[float, float]]],
    table1: str | None,
    pairs: Sequence[tuple[float, float]],
    seeds: Sequence[int],
    arrays: Sequence[Path],
    cores: int,
    rounds: int,
    seconds: float,
    **training: object,
) -> None:
    from betagvae.bench import BenchSettings, Grid, bench

    training = with_tuples(training)
    grid = Grid(
        datasets={name: {**training, **changes} for name, changes in datasets},
        methods=dict(methods),
        seeds=tuple(seeds),
        table1=table1,
        pairs=tuple(pairs),
    )
    threads = int(training["threads"])
    settings = BenchSettings(cores=cores, threads=threads, rounds=rounds, seconds=seconds)
    bench(grid, settings, output, arrays)


SUBCOMMANDS = (
    _add_data,
    _add_weights,
    _add_train,
    _add_evaluate,
    _add_scores,
    _add_quality,
    _add_bench,
)
