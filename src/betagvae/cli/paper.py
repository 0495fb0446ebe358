"""Subcommands that make tables, figures and verdicts from the numbers of all trainings."""

import argparse
from pathlib import Path

from betagvae.cli.arguments import add_experiment, add_outputs, add_settings, take
from betagvae.experiment import Experiment
from betagvae.settings.paper import TableSettings, TraversalSettings

TABLE = ("CSV", "MD", "TEX")


def _add_tables(commands: argparse._SubParsersAction) -> None:
    tables = {
        "table1": (_table1, "the paper's Table 1"),
        "table2": (_table2, "the paper's Table 2"),
        "score-tables": (_score_tables, "disentanglement scores of all trainings"),
        "quality-tables": (_quality_tables, "image quality of all trainings"),
    }
    for name, (command, text) in tables.items():
        p = commands.add_parser(name, help=text)
        add_experiment(p)
        add_settings(p, TableSettings)
        add_outputs(p, *TABLE)
        p.set_defaults(command=command)


def _table1(experiment: Experiment, outputs: list[Path], **options: object) -> None:
    from betagvae.paper.tables_1_2 import table1, write_table

    caption = "Choice of β and γ: reconstruction error and KL divergence (Table 1 of the paper)"
    rows = table1(experiment, take(options, TableSettings).level)
    write_table(rows, *outputs, caption=caption)


def _table2(experiment: Experiment, outputs: list[Path], **options: object) -> None:
    from betagvae.paper.tables_1_2 import table2, write_table

    caption = "Methods compared: reconstruction error and KL divergence (Table 2 of the paper)"
    rows = table2(experiment, take(options, TableSettings).level)
    write_table(rows, *outputs, caption=caption)


def _score_tables(experiment: Experiment, outputs: list[Path], **options: object) -> None:
    from betagvae.paper.score_tables import score_tables

    score_tables(experiment, take(options, TableSettings).level, outputs)


def _quality_tables(experiment: Experiment, outputs: list[Path], **options: object) -> None:
    from betagvae.paper.quality_tables import quality_tables

    quality_tables(experiment, take(options, TableSettings).level, outputs)


def _add_metrics(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("metrics", help="the paper's Table 2 as nested numbers (JSON)")
    p.add_argument("table", type=Path, help="Table 2 as CSV")
    p.add_argument("--output", type=Path, required=True)
    p.set_defaults(command=_metrics)


def _metrics(table: Path, output: Path) -> None:
    from betagvae.paper.table_2_metrics import table_metrics

    table_metrics(table, output)


def _add_bars(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("bars", help="the paper's Figs. 4 and 5")
    p.add_argument("quantity", choices=("reconstruction_error", "kl"))
    add_experiment(p)
    add_settings(p, TableSettings)
    add_outputs(p)
    p.set_defaults(command=_bars)


def _bars(quantity: str, experiment: Experiment, outputs: list[Path], **options: object) -> None:
    from betagvae.paper.figures_4_5 import bars

    bars(experiment, quantity, take(options, TableSettings).level, outputs)


def _add_curves(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("curves", help="training curves of the methods")
    add_experiment(p)
    add_outputs(p)
    p.set_defaults(command=_curves)


def _curves(experiment: Experiment, outputs: list[Path]) -> None:
    from betagvae.paper.training_curves import training_curves

    training_curves(experiment, outputs)


def _add_traversals(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("traversals", help="the paper's Figs. 6 to 8")
    p.add_argument("array", type=Path)
    add_experiment(p)
    p.add_argument("--base-index", type=int, required=True, help="image whose code is the base")
    add_settings(p, TraversalSettings)
    add_outputs(p)
    p.set_defaults(command=_traversals)


def _traversals(
    array: Path, experiment: Experiment, base_index: int, outputs: list[Path], **options: object
) -> None:
    from betagvae.model.device import set_up
    from betagvae.paper.figures_6_7_8 import traversals

    set_up(threads=1)
    traversals(array, experiment, take(options, TraversalSettings), base_index, outputs)


def _add_rate_distortion(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("rate-distortion", help="reconstruction error against KL divergence")
    add_experiment(p)
    add_outputs(p)
    p.set_defaults(command=_rate_distortion)


def _rate_distortion(experiment: Experiment, outputs: list[Path]) -> None:
    from betagvae.paper.rate_distortion import rate_distortion

    rate_distortion(experiment, outputs)


def _add_claims(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("claims", help="a verdict for each of the paper's claims")
    p.add_argument("claims", type=Path, help="the claims file")
    add_experiment(p)
    add_settings(p, TableSettings)
    add_outputs(p, "JSON", "MD")
    p.set_defaults(command=_claims)


def _claims(claims: Path, experiment: Experiment, outputs: list[Path], **options: object) -> None:
    from betagvae.paper.claims.judging import judge_claims

    judge_claims(claims, experiment, take(options, TableSettings).level, *outputs)


SUBCOMMANDS = (
    _add_tables,
    _add_metrics,
    _add_bars,
    _add_curves,
    _add_rate_distortion,
    _add_traversals,
    _add_claims,
)
