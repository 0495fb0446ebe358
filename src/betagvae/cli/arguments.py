"""Arguments that are made from declared settings, and those that several subcommands share."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from betagvae.errors import UserError
from betagvae.experiment import Experiment
from betagvae.settings.setting import Declared, declared, made

S = TypeVar("S")


def add_settings(p: argparse.ArgumentParser, section: type, *, needed: bool = True) -> None:
    """Add a flag for each setting of a section; where it is left out, the section's default holds.

    Parameters
    ----------
    p
        What gets the flags.
    section
        A class of `betagvae.settings`.
    needed
        Whether settings without a default must be given.
    """
    group = p.add_argument_group("settings")
    for d in declared(section).values():
        group.add_argument(
            d.flag,
            type=_reader(d),
            nargs={None: None, 0: "*"}.get(d.parts, d.parts),
            choices=d.about.choices or None,
            required=needed and d.needed,
            default=argparse.SUPPRESS,
            help=_help(d),
        )


def _reader(d: Declared) -> Callable[[str], Any]:
    def read(text: str) -> Any:  # noqa: ANN401
        value = d.kind(text)
        if problem := d.problem(value):
            raise argparse.ArgumentTypeError(problem)
        return value

    read.__name__ = d.kind.__name__
    return read


def _help(d: Declared) -> str:
    text = d.about.why.replace("`", "").replace("\\|", "|")
    unit = f" [{d.about.unit}]" if d.about.unit else ""
    default = "" if d.needed or d.default in (None, ()) else f" (default: {d.default})"
    return f"{text}{unit}{default}".replace("%", "%%")


def take(options: dict[str, object], section: type[S]) -> S:
    """Take a section's settings out of what was parsed."""
    names = [name for name in declared(section) if name in options]
    return made(section, {name: options.pop(name) for name in names})


def experiment(text: str) -> Experiment:
    """Read the trainings of a configuration, JSON as `Experiment.as_json` writes it."""
    try:
        return Experiment.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"not the JSON of an experiment ({error})") from error
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_experiment(p: argparse.ArgumentParser) -> None:
    """Add `--experiment`."""
    text = "the trainings of a configuration as JSON: `snakemake --printshellcmds` shows it"
    p.add_argument("--experiment", type=experiment, required=True, metavar="JSON", help=text)


def add_outputs(p: argparse.ArgumentParser, *names: str) -> None:
    """Add `--outputs`: files of these names, or any number of pictures."""
    count = {"nargs": len(names), "metavar": names} if names else {"nargs": "+"}
    p.add_argument("--outputs", type=Path, required=True, **count)
