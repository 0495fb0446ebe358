"""What the evidence holds for one claim on one data set, and what it lacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from betagvae.experiment import Experiment, Row, row_label, row_of_pair
from betagvae.paper import reported
from betagvae.paper.claims.comparison import Values, label, shared_seeds
from betagvae.paper.claims.definition import Claim, Method
from betagvae.results.evidence import Evidence
from betagvae.results.labels import data_label, dataset_name, split_label
from betagvae.results.runs import Results

_Rows = Mapping[Method, Row | None]
"""The claim's methods to their settings; None for a name that the configuration lacks."""


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


def gather(claim: Claim, dataset: str, evidence: Mapping[str, Results[Evidence]]) -> Found:
    """Return what there is for a claim on one of its data sets.

    Parameters
    ----------
    claim
        What is claimed.
    dataset
        One of its data sets.
    evidence
        What `betagvae.results.evidence.load_evidence` returns.
    """
    every = [one for results in evidence.values() for one in results.all(dataset)]
    name = dataset_name(dataset)
    if not every:
        return Found(name, [f"there is no run of {name}"])
    results = evidence[claim.evidence]
    first = (results.all(dataset) or every)[0]
    data = data_label(dataset, first.source, first.stand_in)
    if not results.all(dataset):
        return Found(data, [f"there is no {claim.evidence}.json of {name}"], first.stand_in)
    rows = {method: _row(method, results.experiment) for method in claim.methods}
    files = {m: results.found(dataset, row) if row else [] for m, row in rows.items()}
    values = {method: _values(claim, of_method) for method, of_method in files.items()}
    used = list({one.path: one for of_method in files.values() for one in of_method}.values())
    printed = _paper_values(claim, files)
    lacking = _lacking(claim, rows, files, values) or _unlike(used) or _no_margin(claim, printed)
    return Found(
        data=data,
        lacking=lacking,
        stand_in=first.stand_in,
        split=_split(claim, first),
        basis=(used or [first])[0].basis,
        steps=(used or [first])[0].settings.steps,
        values=values,
        printed=printed,
        inputs=[one.path.as_posix() for one in used],
    )


def _row(method: Method, experiment: Experiment) -> Row | None:
    return experiment.methods.get(method) if isinstance(method, str) else row_of_pair(method)


def _split(claim: Claim, one: Evidence) -> str:
    if not claim.split:
        return ""
    split = next(iter(one.values)) if claim.split == "held_out" else claim.split
    return split_label(split, one.values)


def _values(claim: Claim, files: Sequence[Evidence]) -> dict[int, float]:
    """Return the claim's quantity by seed, of the files that have it."""
    found = {one.settings.seed: one.values_of(claim.split) for one in files}
    if claim.quantity == "objective":
        return {
            seed: part["reconstruction_error"] + claim.beta * part["kl"]
            for seed, part in found.items()
            if part
        }
    values = {seed: part.get(claim.quantity) for seed, part in found.items()}
    return {seed: value for seed, value in values.items() if value is not None}


def _paper_values(claim: Claim, files: Mapping[Method, Sequence[Evidence]]) -> dict[Method, float]:
    """Return what the paper prints of the claim's methods, in a unit like that of the evidence."""
    found = {}
    for method, (first, *_) in ((m, of_method) for m, of_method in files.items() if of_method):
        row = reported.reported(first.dataset, first.settings)
        alike = claim.quantity == "kl" or first.basis == reported.LIKELIHOOD
        if row and alike and claim.evidence == "metrics":
            found[method] = _printed(claim, row)
    return found


def _printed(claim: Claim, row: reported.Reported) -> float:
    if claim.quantity == "objective":
        return row.reconstruction_error + claim.beta * row.kl
    return getattr(row, claim.quantity)


def _lacking(
    claim: Claim, rows: _Rows, files: Mapping[Method, Sequence[Evidence]], values: Values
) -> list[str]:
    """Return what is missing, a sentence part each; empty when the claim can be tested."""
    unknown = [label(method) for method, row in rows.items() if row is None]
    if unknown:
        return [f"the configuration has no method called {' or '.join(unknown)}"]
    absent = dict.fromkeys(row_label(row) for m, row in rows.items() if row and not files[m])
    if absent:
        return [f"there is no {claim.evidence}.json with (β, γ) = {' or '.join(absent)}"]
    without = [label(method) for method in rows if not values[method]]
    if without:
        return [f"there is no {claim.quantity} in {claim.evidence}.json of {' and '.join(without)}"]
    return [
        f"no seed was trained both as {label(claim.method)} and as {label(rival)}"
        for rival in claim.compared_with
        if not shared_seeds(claim, rival, values)
    ]


def _unlike(used: Sequence[Evidence]) -> list[str]:
    """Return why methods cannot be compared: they may differ in any setting, but not in these."""
    if len({one.settings.steps for one in used}) > 1:
        return ["its methods were trained for unequal numbers of steps"]
    if len({one.basis for one in used}) > 1:
        return ["its methods were measured by different likelihoods or feature networks"]
    return []


def _no_margin(claim: Claim, printed: Mapping[Method, float]) -> list[str]:
    if not claim.margin.of_paper or all(method in printed for method in claim.methods):
        return []
    return ["its margin is a part of the paper's difference, and the paper has no such number"]
