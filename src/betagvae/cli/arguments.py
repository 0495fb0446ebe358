"""Arguments that several subcommands share."""

import argparse
from pathlib import Path

from betagvae.paper.reported import printed_name


def with_tuples(options: dict[str, object]) -> dict[str, object]:
    """Turn the lists that argparse makes into what frozen settings hold."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}


def pair(text: str) -> tuple[float, float]:
    """Read BETA,GAMMA."""
    beta, gamma = text.split(",")
    return float(beta), float(gamma)


def method(text: str) -> tuple[str, tuple[float, float]]:
    """Read NAME=BETA,GAMMA; return the name as results print it."""
    name, weights = text.split("=")
    return printed_name(name), pair(weights)


def training_run(text: str) -> tuple[float, float, int, Path]:
    """Read BETA,GAMMA,SEED=FOLDER."""
    numbers, folder = text.split("=", 1)
    beta, gamma, seed = numbers.split(",")
    return float(beta), float(gamma), int(seed), Path(folder)


def method_run(text: str) -> tuple[str, Path]:
    """Read NAME=FOLDER; return the name as results print it."""
    name, run = text.split("=", 1)
    return printed_name(name), Path(run)


def add_methods(p: argparse.ArgumentParser) -> None:
    """Add `--methods`."""
    p.add_argument("--methods", type=method, nargs="+", required=True, metavar="NAME=BETA,GAMMA")


def add_runs(p: argparse.ArgumentParser) -> None:
    """Add `--metrics` and `--level`."""
    p.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics.json of runs")
    add_level(p)


def add_level(p: argparse.ArgumentParser) -> None:
    """Add `--level`."""
    p.add_argument("--level", type=float, default=0.95, help="confidence level of the intervals")


def add_table_outputs(p: argparse.ArgumentParser) -> None:
    """Add `--outputs` of a table."""
    p.add_argument("--outputs", type=Path, nargs=3, required=True, metavar=("CSV", "MD", "TEX"))
