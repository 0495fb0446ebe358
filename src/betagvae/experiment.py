"""Which trainings a configuration asks for, and the folder that each one's results are in.

A training is a data set, a row of settings and a seed. Its folder is named after what the row sets,
so that a method may have another name, or an earlier value again, and is trained no more.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Self

from betagvae.errors import UserError
from betagvae.settings.setting import declared, made, number, written
from betagvae.settings.training import SHARED_BY_A_JOB, WEIGHTS, TrainingSettings

Row = Mapping[str, Any]
"""Settings by name: weights of the objective, and whatever else a method sets."""
Pair = tuple[float, float]
"""β and γ of eq. 7."""

ALWAYS_NAMED = ("beta", "gamma")
"""Weights that are part of every folder's name."""


@dataclass(frozen=True)
class Training:
    """One training of an experiment."""

    dataset: str
    row: Row
    """What a method sets."""
    own: Row
    """What tells it from the other trainings of its data set."""
    settings: TrainingSettings
    folder: str

    @property
    def of_its_job(self) -> tuple[Any, ...]:
        """What it must have in common with the trainings beside it in a process."""
        return tuple(getattr(self.settings, name) for name in SHARED_BY_A_JOB)


@dataclass(frozen=True)
class Experiment:
    """All trainings of a configuration."""

    folder: str
    """Of all results."""
    seeds: tuple[int, ...]
    methods: dict[str, Row]
    """Name, as results print it, to row; in the order of tables and colours."""
    shared: dict[str, Row]
    """Data set to the settings that its trainings share, in the order of tables."""
    swept: str | None = None
    """Data set of Table 1."""
    pairs: tuple[Pair, ...] = ()
    """Of Table 1."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the experiment that `as_json` wrote."""
        content = json.loads(text)
        pairs = tuple(map(tuple, content["pairs"]))
        return cls(**{**content, "seeds": tuple(content["seeds"]), "pairs": pairs})

    def as_json(self) -> str:
        """Return the form in which jobs get it; numbers keep every digit."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets, in order."""
        return tuple(self.shared)

    def without_table1(self) -> Self:
        """Return the methods' trainings alone."""
        return replace(self, swept=None, pairs=())

    def of_table1(self) -> Self:
        """Return Table 1's trainings alone."""
        shared = {self.swept: self.shared[self.swept]} if self.swept else {}
        return replace(self, methods={}, shared=shared)

    def of_first_seed(self) -> Self:
        """Return the trainings of the first seed alone."""
        return replace(self, seeds=self.seeds[:1])

    def on(self, dataset: str) -> Self:
        """Return the trainings on one data set alone; `UserError` where there is no such set."""
        if dataset not in self.shared:
            known = ", ".join(self.shared)
            raise UserError(f"no data set {dataset!r} in the configuration: it has {known}")
        alone = replace(self, shared={dataset: self.shared[dataset]})
        return alone if dataset == self.swept else alone.without_table1()

    def rows(self, dataset: str) -> Iterator[Row]:
        """Yield what is trained on a data set: the methods, and Table 1's pairs on its own."""
        yield from self.methods.values()
        if dataset == self.swept:
            yield from map(row_of_pair, self.pairs)

    def trainings(self, dataset: str) -> list[Training]:
        """Return all trainings of a data set; equal ones are one."""
        found: dict[str, Training] = {}
        for row in self.rows(dataset):
            for training in self.of(dataset, row):
                found.setdefault(training.folder, training)
        return list(found.values())

    def all_trainings(self) -> list[Training]:
        """Return all trainings of all data sets."""
        return [training for dataset in self.datasets for training in self.trainings(dataset)]

    def of(self, dataset: str, row: Row) -> list[Training]:
        """Return the trainings of a row, one a seed."""
        name, shared = self.named(dataset, row), self.shared[dataset]
        found = []
        for seed in self.seeds:
            own = {**effective(row, shared), "seed": seed}
            settings = made(TrainingSettings, {**shared, **own})
            folder = str(PurePosixPath(self.folder, dataset, name, f"seed{seed}"))
            found.append(Training(dataset, row, own, settings, folder))
        return found

    def named(self, dataset: str, row: Row) -> str:
        """Return the name of the folder of a row's trainings."""
        return folder_name(row, self.shared[dataset])

    def method_of(self, training: Training) -> str:
        """Return the method that a training is of; empty where it is of Table 1 alone."""
        name = self.named(training.dataset, training.row)
        methods = self.methods.items()
        return next((m for m, row in methods if self.named(training.dataset, row) == name), "")


def row_of_pair(pair: Sequence[float]) -> Row:
    """Return β and γ as a row."""
    return dict(zip(ALWAYS_NAMED, pair, strict=True))


def pair_of(row: Row) -> Pair:
    """Return β and γ of a row."""
    return row["beta"], row.get("gamma", 0)


def pair_label(pair: Sequence[float]) -> str:
    """Return β and γ as results print a pair of Table 1."""
    return f"({', '.join(map(number, pair))})"


def folder_name(row: Row, shared: Row) -> str:
    """Return a name made of all that a row sets, except where that changes nothing."""
    settings = made(TrainingSettings, {**shared, **row, "seed": 0})
    words, own = [], effective(row, shared)
    for name, d in declared(TrainingSettings).items():
        value = getattr(settings, name)
        if name in WEIGHTS:
            words += [f"{name}{number(value)}"] if value or name in ALWAYS_NAMED else []
        elif name in own and _plain(value) != _plain(shared.get(name, d.default)):
            words.append(f"{name}-{written(value)}")
    return "_".join(words)


def effective(row: Row, shared: Row) -> Row:
    """Return a row without what changes nothing, as a reward does without a discriminator."""
    known, values = declared(TrainingSettings), {**shared, **row}
    idle = {
        name
        for name, d in known.items()
        if d.about.matters_with and not any(values.get(weight) for weight in d.about.matters_with)
    }
    return {name: value for name, value in row.items() if name not in idle}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def described(row: Row) -> str:
    """Return a row in words: β = 4, γ = 10, reward = logit."""
    beta, gamma = map(number, pair_of(row))
    weights = f"β = {beta}, γ = {gamma}"
    others = others_described(row)
    return f"{weights}, {others}" if others else weights


def row_label(row: Row) -> str:
    """Return a row as briefly as it can be: (4, 10), or (4, 10, reward = logit)."""
    others = others_described(row)
    words = [*map(number, pair_of(row)), *([others] if others else [])]
    return f"({', '.join(words)})"


def others_described(row: Row) -> str:
    """Return what a row sets besides β and γ in words; empty where nothing."""
    return ", ".join(f"{k} = {written(v)}" for k, v in row.items() if k not in ALWAYS_NAMED)


def printed_name(method: str) -> str:
    """Return a method's name as the paper prints it; in configurations names are ASCII."""
    return method.replace("beta", "β")


def from_configuration(full: Mapping[str, Any], shared: Mapping[str, Row]) -> Experiment:
    """Return the experiment of a completed configuration, and of what its data sets share."""
    table1 = full["table1"] or {}
    return Experiment(
        folder=f"{full['results_dir']}/{full['run']}",
        seeds=tuple(full["seeds"]),
        methods={printed_name(name): row for name, row in full["methods"].items()},
        shared=dict(shared),
        swept=table1.get("dataset") if table1.get("dataset") in shared else None,
        pairs=tuple(map(tuple, table1.get("pairs", ()))),
    )
