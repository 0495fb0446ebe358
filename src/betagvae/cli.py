"""The command line: one subcommand a rule of the workflow.

Modules are imported where they are used, so that a command loads only what it needs.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from betagvae.errors import UserError
from betagvae.paper import printed_name
from betagvae.surroundings import check_container, described


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; a `UserError` ends in one line and exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    options = vars(_parser().parse_args(arguments))
    command = options.pop("command")
    try:
        check_container()
        logging.info(described())
        command(**options)
    except UserError as error:
        print(f"betagvae: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="betagvae", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    stages = (_add_data, _add_weights, _add_train, _add_evaluate, _add_scores, _add_quality)
    tables = (_add_table1, _add_table2, _add_metrics, _add_score_tables, _add_quality_tables)
    figures = (_add_bars, _add_curves, _add_rate_distortion, _add_traversals)
    for add in (*stages, *tables, *figures, _add_claims, _add_bench):
        add(commands)
    return parser


def _with_tuples(options: dict[str, object]) -> dict[str, object]:
    """Turn the lists that argparse makes into what frozen settings hold."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}


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
    from betagvae.datasets import DataSettings, make_dataset

    make_dataset(name, output, DataSettings(**_with_tuples(options)))


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
    from betagvae.weights import fetch_weights

    fetch_weights(output, own=path, urls=tuple(urls), folder=download_dir)


def _add_train(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("train", help="train a model with one seed, or with several at once")
    p.add_argument("data", type=Path)
    p.add_argument("--seeds", type=int, nargs="+", default=[0])
    for name in ("model", "history", "record"):
        p.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="one a seed")
    p.add_argument("--beta", type=float, required=True, help="weight of the KL divergence, eq. 7")
    p.add_argument("--gamma", type=float, required=True, help="weight of the discriminator, eq. 7")
    p.add_argument("--resume-seconds", type=float, default=60)
    _add_training_settings(p, likelihood_required=True)
    p.set_defaults(command=_train)


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
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--precision", choices=("float32", "tf32"), default="float32")


def _train(
    data: Path,
    seeds: Sequence[int],
    model: Sequence[Path],
    history: Sequence[Path],
    record: Sequence[Path],
    resume_seconds: float,
    **options: object,
) -> None:
    from betagvae.training import RunFiles, TrainingSettings, train

    if not len(seeds) == len(model) == len(history) == len(record):
        raise UserError("name one --model, --history and --record for each of --seeds")
    settings = [TrainingSettings(seed=seed, **_with_tuples(options)) for seed in seeds]
    files = [RunFiles(*paths) for paths in zip(model, history, record, strict=True)]
    train(data, list(zip(settings, files, strict=True)), resume_seconds=resume_seconds)


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
    p.add_argument("--threads", type=int, default=1)
    p.set_defaults(command=_evaluate)


def _evaluate(data: Path, model: Path, metrics: Path, codes: Path, **options: object) -> None:
    from betagvae.evaluation import EvaluationSettings, evaluate

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
"""Fields of `betagvae.scores.ScoreSizes`, whose import is too slow for every command."""


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
    from betagvae.scores import ScoreSizes
    from betagvae.scoring import score

    score(data, codes, metrics, output, seed=seed, sizes=ScoreSizes(**sizes))


NETWORKS = ("inception_v3", "efficientnet_lite0")
"""Names in `betagvae.features.NETWORKS`, whose import is too slow for every command."""


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
    from betagvae.quality import QualitySettings, judge

    judge(data, model, QualitySettings(**options), output=output)


def _pair(text: str) -> tuple[float, float]:
    beta, gamma = text.split(",")
    return float(beta), float(gamma)


def _method(text: str) -> tuple[str, tuple[float, float]]:
    name, pair = text.split("=")
    return printed_name(name), _pair(pair)


def _method_run(text: str) -> tuple[str, Path]:
    name, run = text.split("=", 1)
    return printed_name(name), Path(run)


def _add_methods(p: argparse.ArgumentParser) -> None:
    p.add_argument("--methods", type=_method, nargs="+", required=True, metavar="NAME=BETA,GAMMA")


def _add_runs(p: argparse.ArgumentParser) -> None:
    p.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics.json of runs")
    _add_level(p)


def _add_level(p: argparse.ArgumentParser) -> None:
    p.add_argument("--level", type=float, default=0.95, help="confidence level of the intervals")


def _add_table_outputs(p: argparse.ArgumentParser) -> None:
    p.add_argument("--outputs", type=Path, nargs=3, required=True, metavar=("CSV", "MD", "TEX"))


def _add_table1(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("table1", help="the paper's Table 1")
    p.add_argument("--pairs", type=_pair, nargs="+", required=True, metavar="BETA,GAMMA")
    _add_runs(p)
    _add_table_outputs(p)
    p.set_defaults(command=_table1)


def _table1(
    pairs: list[tuple[float, float]], metrics: list[Path], level: float, outputs: list[Path]
) -> None:
    from betagvae.tables import table1, write_table

    caption = "Choice of β and γ: reconstruction error and KL divergence (Table 1 of the paper)"
    write_table(table1(metrics, pairs, level), *outputs, caption=caption)


def _add_table2(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("table2", help="the paper's Table 2")
    _add_methods(p)
    _add_runs(p)
    _add_table_outputs(p)
    p.set_defaults(command=_table2)


def _table2(
    methods: list[tuple[str, tuple[float, float]]],
    metrics: list[Path],
    level: float,
    outputs: list[Path],
) -> None:
    from betagvae.tables import table2, write_table

    caption = "Methods compared: reconstruction error and KL divergence (Table 2 of the paper)"
    write_table(table2(metrics, dict(methods), level), *outputs, caption=caption)


def _add_metrics(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("metrics", help="the paper's Table 2 as nested numbers (JSON)")
    p.add_argument("table", type=Path, help="Table 2 as CSV")
    p.add_argument("--output", type=Path, required=True)
    p.set_defaults(command=_metrics)


def _metrics(table: Path, output: Path) -> None:
    from betagvae.table_metrics import table_metrics

    table_metrics(table, output)


def _add_score_tables(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("score-tables", help="disentanglement scores of all runs")
    _add_methods(p)
    p.add_argument("--scores", type=Path, nargs="+", required=True, help="scores.json of runs")
    _add_level(p)
    _add_table_outputs(p)
    p.set_defaults(command=_score_tables)


def _score_tables(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.score_tables import score_tables

    score_tables(methods=dict(methods), **options)


def _add_quality_tables(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("quality-tables", help="image quality of all runs")
    _add_methods(p)
    p.add_argument("--quality", type=Path, nargs="+", required=True, help="quality.json of runs")
    _add_level(p)
    _add_table_outputs(p)
    p.set_defaults(command=_quality_tables)


def _quality_tables(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.quality_tables import quality_tables

    quality_tables(methods=dict(methods), **options)


def _add_bars(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("bars", help="the paper's Figs. 4 and 5")
    p.add_argument("quantity", choices=("reconstruction_error", "kl"))
    _add_methods(p)
    _add_runs(p)
    p.add_argument("--outputs", type=Path, nargs="+", required=True)
    p.set_defaults(command=_bars)


def _bars(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.figures import bars

    bars(methods=dict(methods), **options)


def _add_curves(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("curves", help="training curves of the methods")
    _add_methods(p)
    p.add_argument("--histories", type=Path, nargs="+", required=True)
    p.add_argument("--outputs", type=Path, nargs="+", required=True)
    p.set_defaults(command=_curves)


def _curves(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.figures import training_curves

    training_curves(methods=dict(methods), **options)


def _add_traversals(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("traversals", help="the paper's Figs. 6 to 8")
    p.add_argument("array", type=Path)
    p.add_argument("--runs", type=_method_run, nargs="+", required=True, metavar="NAME=FOLDER")
    p.add_argument("--base-index", type=int, required=True, help="image whose code is the base")
    p.add_argument("--columns", type=int, default=10, help="values of each latent")
    p.add_argument("--low", type=float, default=-3)
    p.add_argument("--high", type=float, default=3)
    p.add_argument("--outputs", type=Path, nargs="+", required=True)
    p.set_defaults(command=_traversals)


def _traversals(runs: list[tuple[str, Path]], **options: object) -> None:
    from betagvae.device import set_up
    from betagvae.traversals import traversals

    set_up(threads=1)
    models = {name: run / "model.safetensors" for name, run in runs}
    metrics = {name: run / "metrics.json" for name, run in runs}
    traversals(models=models, metrics=metrics, **options)


def _add_rate_distortion(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("rate-distortion", help="reconstruction error against KL of all runs")
    _add_methods(p)
    p.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics.json of runs")
    p.add_argument("--outputs", type=Path, nargs="+", required=True)
    p.set_defaults(command=_rate_distortion)


def _rate_distortion(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.rate_distortion import rate_distortion

    rate_distortion(methods=dict(methods), **options)


def _add_claims(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("claims", help="a verdict for each of the paper's claims")
    p.add_argument("claims", type=Path, help="the claims file")
    _add_methods(p)
    evidence = "metrics.json, scores.json and quality.json of runs"
    p.add_argument("--evidence", type=Path, nargs="+", required=True, help=evidence)
    _add_level(p)
    p.add_argument("--outputs", type=Path, nargs=2, required=True, metavar=("JSON", "MD"))
    p.set_defaults(command=_claims)


def _claims(
    methods: list[tuple[str, tuple[float, float]]], outputs: list[Path], **options: object
) -> None:
    from betagvae.claims import judge_claims

    data, page = outputs
    judge_claims(methods=dict(methods), data=data, page=page, **options)


def _dataset_settings(text: str) -> tuple[str, dict[str, object]]:
    name, _, settings = text.partition("=")
    return name, _with_tuples(json.loads(settings or "{}"))


def _add_bench(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("bench", help="speed and memory of training on this machine")
    p.add_argument("--output", type=Path, required=True, help="folder of the results")
    p.add_argument(
        "--datasets",
        type=_dataset_settings,
        nargs="+",
        required=True,
        metavar="NAME[=JSON]",
        help="data sets, and what they change of the flags below: celeba='{\"steps\": 1000}'",
    )
    _add_methods(p)
    p.add_argument("--table1", metavar="NAME", help="data set of Table 1")
    p.add_argument("--pairs", type=_pair, nargs="*", default=(), metavar="BETA,GAMMA")
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

    training = _with_tuples(training)
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
