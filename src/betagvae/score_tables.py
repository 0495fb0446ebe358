"""The tables of disentanglement scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from betagvae.identity import identity
from betagvae.runs import load_results
from betagvae.scores import NUMBERS
from betagvae.summary import Judged, Methods, write_tables

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


def score_tables(
    scores: Sequence[Path], methods: Methods, level: float, outputs: Sequence[Path]
) -> None:
    """Write ``scores.csv``, a row a number and run, and ``.md`` and ``.tex``, methods over seeds.

    Raises
    ------
    UserError
        When a file is damaged, runs cannot be compared or a data set lacks a method.
    """
    runs = load_results(scores, _read)
    write_tables(runs, methods, NUMBERS, level, outputs, caption=CAPTION, notes=NOTES)


def _read(path: Path, content: dict[str, Any]) -> Judged:
    return Judged(
        path, **identity(content), images=content["images"], values=dict(content["scores"])
    )
