"""What the evidence holds for one claim on one data set, and what it lacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from betagvae.paper import reported as paper
from betagvae.paper.claims.comparison import Values, label, shared_seeds
from betagvae.paper.claims.definition import Claim, Method
from betagvae.results.evidence import Evidence
from betagvae.results.runs import DATASET_NAMES, data_label, split_label

_Pairs = Mapping[Method, tuple[float, float] | None]
"""The claim's methods to their (β, γ); None for a name that the configuration lacks."""


@dataclass(frozen=True)
class Found:
    """The numbers that a claim can be tested with."""

    data: str
    """Name of the data set to print, with the mark of a stand-in."""
    lacking: list[str]
    """What is missing, a part of a sentence each; empty when the claim can be tested."""
    stand_in: bool = False
    split: str = ""
    """Name to print; empty where the evidence does not tell splits apart."""
    basis: str = ""
    """Likelihood behind metrics, feature network behind image quality."""
    steps: int | None = None
    values: Values = field(default_factory=dict)
    printed: Mapping[Method, float] = field(default_factory=dict)
    """The paper's values, where it has any that can be compared."""
    inputs: list[str] = field(default_factory=list)


def gather(
    claim: Claim,
    dataset: str,
    evidence: Sequence[Evidence],
    methods: Mapping[str, tuple[float, float]],
) -> Found:
    """Return what there is for a claim on one of its data sets."""
    of_dataset = [one for one in evidence if one.dataset == dataset]
    files = [one for one in of_dataset if one.kind == claim.evidence]
    name = DATASET_NAMES.get(dataset, dataset)
    if not of_dataset:
        return Found(name, [f"there is no run of {name}"])
    first = (files or of_dataset)[0]
    data = data_label(dataset, first.source, first.stand_in)
    if not files:
        return Found(data, [f"there is no {claim.evidence}.json of {name}"], first.stand_in)
    pairs = {m: methods.get(m) if isinstance(m, str) else m for m in claim.methods}
    used = [one for one in files if (one.beta, one.gamma) in pairs.values()]
    values = {
        method: _values(claim, [one for one in used if (one.beta, one.gamma) == pair])
        for method, pair in pairs.items()
    }
    printed = _paper_values(claim, pairs, first)
    return Found(
        data=data,
        lacking=_lacking(claim, pairs, values, used) or _no_margin(claim, printed),
        stand_in=first.stand_in,
        split=_split(claim, first),
        basis=first.basis,
        steps=first.steps,
        values=values,
        printed=printed,
        inputs=[one.path.as_posix() for one in used],
    )


def _split(claim: Claim, one: Evidence) -> str:
    if not claim.split:
        return ""
    split = next(iter(one.values)) if claim.split == "held_out" else claim.split
    return split_label(split, one.values)


def _values(claim: Claim, files: Sequence[Evidence]) -> dict[int, float]:
    """Return the claim's quantity by seed, of the files that have it."""
    found = {one.seed: one.values_of(claim.split) for one in files}
    if claim.quantity == "objective":
        return {
            seed: part["reconstruction_error"] + claim.beta * part["kl"]
            for seed, part in found.items()
            if part
        }
    values = {seed: part.get(claim.quantity) for seed, part in found.items()}
    return {seed: value for seed, value in values.items() if value is not None}


def _paper_values(claim: Claim, pairs: _Pairs, one: Evidence) -> dict[Method, float]:
    """Return what the paper prints of the claim's methods, in a unit like that of the evidence."""
    alike = claim.quantity == "kl" or one.basis == paper.LIKELIHOOD
    if claim.evidence != "metrics" or not alike:
        return {}
    rows = {m: paper.reported(one.dataset, *pair) for m, pair in pairs.items() if pair}
    return {method: _printed(claim, row) for method, row in rows.items() if row}


def _printed(claim: Claim, row: paper.Reported) -> float:
    if claim.quantity == "objective":
        return row.reconstruction_error + claim.beta * row.kl
    return getattr(row, claim.quantity)


def _lacking(claim: Claim, pairs: _Pairs, values: Values, used: Sequence[Evidence]) -> list[str]:
    """Return what is missing, a sentence part each; empty when the claim can be tested."""
    unknown = [label(method) for method, pair in pairs.items() if pair is None]
    if unknown:
        return [f"the configuration has no method called {' or '.join(unknown)}"]
    trained = {(one.beta, one.gamma) for one in used}
    absent = dict.fromkeys(label(pair) for pair in pairs.values() if pair not in trained)
    if absent:
        return [f"there is no {claim.evidence}.json with (β, γ) = {' or '.join(absent)}"]
    without = [label(method) for method in pairs if not values[method]]
    if without:
        return [f"there is no {claim.quantity} in {claim.evidence}.json of {' and '.join(without)}"]
    return [
        f"no seed was trained both as {label(claim.method)} and as {label(rival)}"
        for rival in claim.compared_with
        if not shared_seeds(claim, rival, values)
    ]


def _no_margin(claim: Claim, printed: Mapping[Method, float]) -> list[str]:
    if not claim.margin.of_paper or all(method in printed for method in claim.methods):
        return []
    return ["its margin is a part of the paper's difference, and the paper has no such number"]
