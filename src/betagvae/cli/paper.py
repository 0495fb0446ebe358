"""Subcommands that make tables, figures and verdicts from the numbers of all runs."""

import argparse
from pathlib import Path

from betagvae.cli.arguments import (
    add_level,
    add_methods,
    add_runs,
    add_table_outputs,
    method_run,
    pair,
)


def _add_table1(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("table1", help="the paper's Table 1")
    p.add_argument("--pairs", type=pair, nargs="+", required=True, metavar="BETA,GAMMA")
    add_runs(p)
    add_table_outputs(p)
    p.set_defaults(command=_table1)


def _table1(
    pairs: list[tuple[float, float]], metrics: list[Path], level: float, outputs: list[Path]
) -> None:
    from betagvae.paper.tables_1_2 import table1, write_table

    caption = "Choice of β and γ: reconstruction error and KL divergence (Table 1 of the paper)"
    write_table(table1(metrics, pairs, level), *outputs, caption=caption)


def _add_table2(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("table2", help="the paper's Table 2")
    add_methods(p)
    add_runs(p)
    add_table_outputs(p)
    p.set_defaults(command=_table2)


def _table2(
    methods: list[tuple[str, tuple[float, float]]],
    metrics: list[Path],
    level: float,
    outputs: list[Path],
) -> None:
    from betagvae.paper.tables_1_2 import table2, write_table

    caption = "Methods compared: reconstruction error and KL divergence (Table 2 of the paper)"
    write_table(table2(metrics, dict(methods), level), *outputs, caption=caption)


def _add_metrics(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("metrics", help="the paper's Table 2 as nested numbers (JSON)")
    p.add_argument("table", type=Path, help="Table 2 as CSV")
    p.add_argument("--output", type=Path, required=True)
    p.set_defaults(command=_metrics)


def _metrics(table: Path, output: Path) -> None:
    from betagvae.paper.table_2_metrics import table_metrics

    table_metrics(table, output)


def _add_score_tables(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("score-tables", help="disentanglement scores of all runs")
    add_methods(p)
    p.add_argument("--scores", type=Path, nargs="+", required=True, help="scores.json of runs")
    add_level(p)
    add_table_outputs(p)
    p.set_defaults(command=_score_tables)


def _score_tables(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.paper.score_tables import score_tables

    score_tables(methods=dict(methods), **options)


def _add_quality_tables(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("quality-tables", help="image quality of all runs")
    add_methods(p)
    p.add_argument("--quality", type=Path, nargs="+", required=True, help="quality.json of runs")
    add_level(p)
    add_table_outputs(p)
    p.set_defaults(command=_quality_tables)


def _quality_tables(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.paper.quality_tables import quality_tables

    quality_tables(methods=dict(methods), **options)


def _add_bars(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("bars", help="the paper's Figs. 4 and 5")
    p.add_argument("quantity", choices=("reconstruction_error", "kl"))
    add_methods(p)
    add_runs(p)
    p.add_argument("--outputs", type=Path, nargs="+", required=True)
    p.set_defaults(command=_bars)


def _bars(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.paper.figures_4_5 import bars

    bars(methods=dict(methods), **options)


def _add_curves(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("curves", help="training curves of the methods")
    add_methods(p)
    p.add_argument("--histories", type=Path, nargs="+", required=True)
    p.add_argument("--outputs", type=Path, nargs="+", required=True)
    p.set_defaults(command=_curves)


def _curves(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.paper.figures_4_5 import training_curves

    training_curves(methods=dict(methods), **options)


def _add_traversals(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("traversals", help="the paper's Figs. 6 to 8")
    p.add_argument("array", type=Path)
    p.add_argument("--runs", type=method_run, nargs="+", required=True, metavar="NAME=FOLDER")
    p.add_argument("--base-index", type=int, required=True, help="image whose code is the base")
    p.add_argument("--columns", type=int, default=10, help="values of each latent")
    p.add_argument("--low", type=float, default=-3)
    p.add_argument("--high", type=float, default=3)
    p.add_argument("--outputs", type=Path, nargs="+", required=True)
    p.set_defaults(command=_traversals)


def _traversals(runs: list[tuple[str, Path]], **options: object) -> None:
    from betagvae.model.device import set_up
    from betagvae.paper.figures_6_7_8 import traversals

    set_up(threads=1)
    models = {name: run / "model.safetensors" for name, run in runs}
    metrics = {name: run / "metrics.json" for name, run in runs}
    traversals(models=models, metrics=metrics, **options)


def _add_rate_distortion(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("rate-distortion", help="reconstruction error against KL of all runs")
    add_methods(p)
    p.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics.json of runs")
    p.add_argument("--outputs", type=Path, nargs="+", required=True)
    p.set_defaults(command=_rate_distortion)


def _rate_distortion(methods: list[tuple[str, tuple[float, float]]], **options: object) -> None:
    from betagvae.paper.rate_distortion import rate_distortion

    rate_distortion(methods=dict(methods), **options)


def _add_claims(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("claims", help="a verdict for each of the paper's claims")
    p.add_argument("claims", type=Path, help="the claims file")
    add_methods(p)
    evidence = "metrics.json, scores.json and quality.json of runs"
    p.add_argument("--evidence", type=Path, nargs="+", required=True, help=evidence)
    add_level(p)
    p.add_argument("--outputs", type=Path, nargs=2, required=True, metavar=("JSON", "MD"))
    p.set_defaults(command=_claims)


def _claims(
    methods: list[tuple[str, tuple[float, float]]], outputs: list[Path], **options: object
) -> None:
    from betagvae.paper.claims import judge_claims

    data, page = outputs
    judge_claims(methods=dict(methods), data=data, page=page, **options)


SUBCOMMANDS = (
    _add_table1,
    _add_table2,
    _add_metrics,
    _add_score_tables,
    _add_quality_tables,
    _add_bars,
    _add_curves,
    _add_rate_distortion,
    _add_traversals,
    _add_claims,
)
