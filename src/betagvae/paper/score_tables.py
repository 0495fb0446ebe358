"""The tables of disentanglement scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from betagvae.errors import UserError
from betagvae.evaluation.scores.registry import NUMBERS
from betagvae.experiment import Experiment
from betagvae.records.identity import read_identity
from betagvae.results.runs import load
from betagvae.results.summary import Judged, write_tables
from betagvae.settings.scores import ScoreSettings
from betagvae.settings.setting import defaults

CAPTION = "Disentanglement scores of the methods"
NOTES = (
    "Not every score is 0 for a code that says nothing: pure noise in ten latents has modularity "
    "about 0.67, InfoM about 0.6 and InfoC 0.3 to 0.4 on dSprites, so read them beside "
    "explicitness and InfoE; explicitness starts at 0.5, and FactorVAE score, β-VAE score and DCI "
    "informativeness at what guessing gives. Total correlation is an estimate, which can fall a "
    "little below 0, and depends on how many images were encoded: compare it only where that "
    "number and the data are equal. Data whose factors are unknown have only the scores that need "
    "none. On dSprites the orientations of square and ellipse are ambiguous, so scores that read "
    "the orientation cannot reach 1."
)


@dataclass(frozen=True)
class _Scored(Judged):
    sizes: dict[str, float]


def score_tables(experiment: Experiment, level: float, outputs: Sequence[Path]) -> None:
    """Write ``scores.csv``, a row a number and training, and ``.md`` and ``.tex``, over seeds.

    Raises
    ------
    UserError
        When a file is damaged, trainings cannot be compared (other sizes are a reason) or a data
        set lacks a method.
    """
    results = load(experiment, "scores.json", _read)
    first, *others = results.by_folder.values()
    for one in others:
        if one.sizes != first.sizes:
            raise UserError(
                f"{one.path} and {first.path} were scored with other sizes: score them again "
                "with one configuration"
            )
    notes = NOTES + _departures(first.sizes)
    write_tables(results, NUMBERS, level, outputs, caption=CAPTION, notes=notes)


def _read(path: Path, content: dict[str, Any]) -> _Scored:
    return _Scored(
        path,
        **read_identity(content),
        images=content["images"],
        values=dict(content["scores"]),
        sizes=dict(content["settings"]),
    )


def _departures(sizes: Mapping[str, float]) -> str:
    """Say where the sizes are not the protocol's; empty where all are."""
    other = [
        f"{name} {sizes[name]:,} for {value:,}"
        for name, value in defaults(ScoreSettings).items()
        if name != "seed" and sizes[name] != value
    ]
    return f" Not the field's protocol: {', '.join(other)}." if other else ""
