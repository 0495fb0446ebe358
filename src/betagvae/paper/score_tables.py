"""The tables of disentanglement scores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from betagvae.errors import UserError
from betagvae.evaluation.scores import NUMBERS, ScoreSizes
from betagvae.results.identity import identity
from betagvae.results.runs import load_results
from betagvae.results.summary import Judged, Methods, write_tables

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
    settings: dict[str, float]


def score_tables(
    scores: Sequence[Path], methods: Methods, level: float, outputs: Sequence[Path]
) -> None:
    """Write ``scores.csv``, a row a number and run, and ``.md`` and ``.tex``, methods over seeds.

    Raises
    ------
    UserError
        When a file is damaged, runs cannot be compared (other sizes are a reason) or a data set
        lacks a method.
    """
    runs = load_results(scores, _read)
    for run in runs:
        if run.settings != runs[0].settings:
            raise UserError(
                f"{run.path} and {runs[0].path} were scored with other sizes: score them again "
                "with one configuration"
            )
    notes = NOTES + _departures(runs[0].settings)
    write_tables(runs, methods, NUMBERS, level, outputs, caption=CAPTION, notes=notes)


def _read(path: Path, content: dict[str, Any]) -> _Scored:
    return _Scored(
        path,
        **identity(content),
        images=content["images"],
        values=dict(content["scores"]),
        settings=dict(content["settings"]),
    )


def _departures(settings: Mapping[str, float]) -> str:
    """Say where the sizes are not the protocol's; empty where all are."""
    usual = asdict(ScoreSizes())
    other = [
        f"{name} {settings[name]:,} for {value:,}"
        for name, value in usual.items()
        if settings[name] != value
    ]
    return f" Not the field's protocol: {', '.join(other)}." if other else ""
