"""The command line: one subcommand a rule of the workflow.

Modules are imported where they are used, so that a command loads only what it needs.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from betagvae.cli import paper, stages
from betagvae.errors import UserError
from betagvae.records.environment import check_container, described


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
    for add in (*stages.SUBCOMMANDS, *paper.SUBCOMMANDS):
        add(commands)
    return parser
