"""Time public implementations' own training loops against ours, in interleaved rounds.

    python benchmarks/compare.py --beta-vae CHECKOUT --disentangling-vae CHECKOUT

Same network, likelihood, batch size and images; their loop, their loader and their settings.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from configuration import training_settings
from images import CELEBA, DSPRITES, make_images
from public_loops import PUBLIC_LOOPS, LoopSettings, Peer, check_loop

from betagvae.bench.measuring import fitting
from betagvae.bench.processes import Mode, Team
from betagvae.errors import UserError
from betagvae.model.device import PRECISIONS
from betagvae.records.files import write_csv, write_json, write_text
from betagvae.results.labels import dataset_name
from betagvae.results.markdown import table
from betagvae.settings.training import TrainingSettings

BATCH = 64
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """One comparison: a repository with a network on a data set."""

    repository: str
    dataset: str
    network: str
    likelihood: str
    """What the repository itself takes for that data set."""

    @property
    def labels(self) -> dict[str, str]:
        """What the results call it."""
        return {
            "public_loop": self.repository,
            "dataset": self.dataset,
            "network": self.network,
            "likelihood": self.likelihood,
        }


CASES = (
    Case("1Konny/Beta-VAE", DSPRITES, "burgess", "bernoulli"),
    Case("1Konny/Beta-VAE", DSPRITES, "higgins", "bernoulli"),
    Case("1Konny/Beta-VAE", CELEBA, "higgins", "squared_error"),
    Case("YannDubs/disentangling-vae", DSPRITES, "burgess", "bernoulli"),
    Case("YannDubs/disentangling-vae", CELEBA, "burgess", "bernoulli"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all cases whose repository is at hand."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--beta-vae", type=Path, help="checkout of 1Konny/Beta-VAE")
    p.add_argument("--disentangling-vae", type=Path, help="checkout of YannDubs/disentangling-vae")
    p.add_argument("--output", type=Path, default=Path("results/comparison"))
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--precision", choices=PRECISIONS, default="float32", help="ours only")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--seconds", type=float, default=3, help="length of one measurement")
    options = p.parse_args(arguments)
    paths = (options.beta_vae, options.disentangling_vae)
    checkouts = {name: path for name, path in zip(PUBLIC_LOOPS, paths, strict=True) if path}
    if not checkouts:
        p.error("name at least one checkout")
    try:
        compare(
            checkouts,
            options.output,
            threads=options.threads,
            precision=options.precision,
            rounds=options.rounds,
            seconds=options.seconds,
        )
    except UserError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    return 0


def compare(
    checkouts: Mapping[str, Path],
    output: Path,
    *,
    threads: int,
    precision: str,
    rounds: int,
    seconds: float,
) -> None:
    """Measure and write ``comparison.csv`` (every round), ``.json`` and ``.md`` (medians)."""
    for name, checkout in checkouts.items():
        check_loop(PUBLIC_LOOPS[name], checkout)
    record = {
        "threads": threads,
        "rounds": rounds,
        "seconds": seconds,
        "precision": precision,
        "load_before": round(os.getloadavg()[0], 2),
        "commits": {name: PUBLIC_LOOPS[name].commit for name in checkouts},
    }
    rows = []
    with TemporaryDirectory() as scratch:
        images = make_images(Path(scratch, "images"), threads)
        for number, case in enumerate(case for case in CASES if case.repository in checkouts):
            log.info("%s, %s, %s", case.repository, case.dataset, case.network)
            data = images.of_loop(case.repository, case.dataset)
            loop = LoopSettings(
                PUBLIC_LOOPS[case.repository], case.dataset, case.network, data, threads
            )
            checkout = checkouts[case.repository].resolve()
            with (
                Peer(loop, checkout, Path(scratch, f"loop{number}")) as peer,
                our_teams(case, images.arrays[case.dataset], threads, precision) as teams,
            ):
                record["provenance"] = teams[0].ask("provenance")[0]
                rows += measure(case, peer, teams, rounds, seconds)
    record["cases"] = list(medians(rows))
    write_csv(output / "comparison.csv", rows)
    write_text(output / "comparison.md", page(record))
    write_json(output / "comparison.json", record)
    print(page(record))


@contextmanager
def our_teams(case: Case, array: Path, threads: int, precision: str) -> Iterator[list[Team]]:
    """Yield our training in one process with all threads, and in as many processes of one."""
    with ExitStack() as stack:
        teams = [stack.enter_context(Team(mode)) for mode in (Mode(1, threads), Mode(threads, 1))]
        for team in teams:
            team.ask("open", array, [our_settings(case, precision)])
        yield teams


def our_settings(case: Case, precision: str) -> TrainingSettings:
    """Return the configuration's settings with the network and likelihood of the case."""
    return training_settings(
        case.dataset,
        "beta-VAE",
        network=case.network,
        likelihood=case.likelihood,
        batch_size=BATCH,
        precision=precision,
    )


def measure(
    case: Case, peer: Peer, teams: Sequence[Team], rounds: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield every round's images/s of all three, measured one after the other, and the ratios."""
    timed = {"public": (peer.seconds, 1)}
    for team, name in zip(teams, ("one_process", "side_by_side"), strict=True):
        take = lambda steps, team=team: team.seconds("train", 0, steps)  # noqa: E731
        take(3)
        timed[name] = take, team.mode.processes
    steps = {name: fitting(take, seconds) for name, (take, _) in timed.items()}
    for number in range(rounds):
        rates = {}
        for name in timed if number % 2 == 0 else reversed(timed):
            take, processes = timed[name]
            rates[name] = processes * steps[name] * BATCH / take(steps[name])
        yield {
            **case.labels,
            "round": number,
            **{name: rates[name] for name in timed},
            "ratio_one_process": rates["one_process"] / rates["public"],
            "ratio_side_by_side": rates["side_by_side"] / rates["public"],
        }


def medians(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the median over rounds of each case's rates and ratios, and the ratios' range."""
    labels = ("public_loop", "dataset", "network", "likelihood")
    for group in dict.fromkeys(tuple(row[label] for label in labels) for row in rows):
        mine = [row for row in rows if tuple(row[label] for label in labels) == group]
        numbers = [name for name in mine[0] if name not in (*labels, "round")]
        found = {name: [row[name] for row in mine] for name in numbers}
        ranges = {f"{n}_range": [min(v), max(v)] for n, v in found.items() if "ratio" in n}
        yield {
            **dict(zip(labels, group, strict=True)),
            **{name: median(values) for name, values in found.items()},
            **ranges,
        }


def page(record: Mapping[str, Any]) -> str:
    """Return the medians as Markdown."""
    threads, p = record["threads"], record["provenance"]
    modes = (str(Mode(1, threads)), str(Mode(threads, 1)))
    header = ("Data", "Network", "Public loop", "Theirs, images/s", f"Ours, {modes[0]}")
    header += (f"Ours, {modes[1]}", f"Ratio, {modes[0]}", f"Ratio, {modes[1]}")
    rows = [
        (
            *(dataset_name(case["dataset"]), case["network"].title(), case["public_loop"]),
            *(f"{case[name]:,.0f}" for name in ("public", "one_process", "side_by_side")),
            *(
                "{:.2f} ({:.2f}–{:.2f})".format(case[name], *case[f"{name}_range"])
                for name in ("ratio_one_process", "ratio_side_by_side")
            ),
        )
        for case in record["cases"]
    ]
    conditions = (
        f"{p['device']}, PyTorch {p['packages']['torch']}, ours in {record['precision']}; theirs "
        f"in float32 with {threads} threads, and what processes their loaders start. "
        f"Batch {BATCH}, whole steps, interleaved: medians of {record['rounds']} rounds of about "
        f"{record['seconds']:g} s each, ratios paired within a round (lowest–highest). "
        f"Load of the machine before: {record['load_before']:.2f}."
    )
    return f"{table(header, rows, header[3:])}\n\n{conditions}\n"


if __name__ == "__main__":
    sys.exit(main())
