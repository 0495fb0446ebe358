"""From evidence to a verdict for each claim.

A claim is a conjunction: it holds when every one of its inequalities does, on every one of its
data sets. So it is reproduced when each inequality is shown on its own (intersection–union test;
Berger 1982, *Technometrics* 24(4), 295–300: no correction is needed), and not reproduced when one
is shown to be false, after Holm's correction for having looked at all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain

from betagvae import paper
from betagvae.claims.comparison import Comparison, Values, compare, label, shared_seeds
from betagvae.claims.definition import Claim, Method
from betagvae.claims.statistics import holm, seeds_needed
from betagvae.evidence import Evidence
from betagvae.runs import DATASET_NAMES, data_label, split_label


class Verdict(StrEnum):
    """What can be said of a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    NOT_JUDGED = "not judged"
    NOT_TESTED = "not tested"


_FIRST_OF = (
    Verdict.NOT_REPRODUCED,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_JUDGED,
    Verdict.NOT_TESTED,
    Verdict.REPRODUCED,
)
"""A claim about several data sets has the first of these that it has on any."""


@dataclass(frozen=True)
class Decision:
    """What a verdict depends on besides claim and evidence."""

    level: float
    """Confidence level of the two-sided intervals; each side has half of the rest."""
    power: float
    least_steps: int

    @property
    def alpha(self) -> float:
        """One-sided significance level."""
        return (1 - self.level) / 2


@dataclass(frozen=True)
class DatasetResult:
    """One claim on one data set."""

    dataset: str
    data: str
    """Name to print, with the mark of a stand-in."""
    stand_in: bool
    split: str
    """Name to print; empty where the evidence does not tell splits apart."""
    basis: str
    """Likelihood behind metrics, feature network behind image quality."""
    steps: int | None
    verdict: Verdict
    reasons: list[str]
    """Why there is no clear verdict; empty where there is."""
    comparisons: list[Comparison]
    seeds_needed: int | None
    """About how many seeds would decide, where seeds are what is missing."""
    inputs: list[str]
    elsewhere: dict[str, Verdict] = field(default_factory=dict)
    """Verdict by other split, for a claim about the held-out one: the paper names none."""


@dataclass(frozen=True)
class ClaimResult:
    """One claim and its verdict, data set by data set and in all."""

    claim: Claim
    verdict: Verdict
    results: list[DatasetResult]


def judge(
    claims: Sequence[Claim],
    evidence: Sequence[Evidence],
    methods: Mapping[str, tuple[float, float]],
    decision: Decision,
) -> list[ClaimResult]:
    """Return the verdict of every claim.

    Parameters
    ----------
    claims
        As in the claims file.
    evidence
        What `betagvae.evidence.load_evidence` returns.
    methods
        Name to (β, γ).
    decision
        What verdicts depend on besides.
    """
    return [_judge(claim, evidence, methods, decision) for claim in claims]


def _judge(
    claim: Claim,
    evidence: Sequence[Evidence],
    methods: Mapping[str, tuple[float, float]],
    decision: Decision,
) -> ClaimResult:
    results = _results(claim, evidence, methods, decision)
    if claim.split == "held_out":
        splits = dict.fromkeys(chain.from_iterable(list(one.values)[1:] for one in evidence))
        for split in splits:
            other = _results(replace(claim, split=split), evidence, methods, decision)
            results = [_with_split(*both, split) for both in zip(results, other, strict=True)]
    found = {result.verdict for result in results}
    return ClaimResult(claim, next(v for v in _FIRST_OF if v in found), results)


def _results(
    claim: Claim,
    evidence: Sequence[Evidence],
    methods: Mapping[str, tuple[float, float]],
    decision: Decision,
) -> list[DatasetResult]:
    """Return the verdict on each data set, on the claim's split."""
    examined = [_examine(claim, name, evidence, methods, decision) for name in claim.datasets]
    return _decide(examined, decision)


def _with_split(result: DatasetResult, other: DatasetResult, split: str) -> DatasetResult:
    """Add the verdict on another split, where both mean something."""
    if {result.verdict, other.verdict} & {Verdict.NOT_JUDGED, Verdict.NOT_TESTED}:
        return result
    return replace(result, elsewhere={**result.elsewhere, split: other.verdict})


def _examine(
    claim: Claim,
    dataset: str,
    evidence: Sequence[Evidence],
    methods: Mapping[str, tuple[float, float]],
    decision: Decision,
) -> DatasetResult:
    """Compare on one data set; open is `inconclusive` until `_decide`."""
    of_dataset = [one for one in evidence if one.dataset == dataset]
    files = [one for one in of_dataset if one.kind == claim.evidence]
    pairs = {m: methods.get(m) if isinstance(m, str) else m for m in claim.methods}
    used = [one for one in files if (one.beta, one.gamma) in pairs.values()]
    values = {
        method: _values(claim, [one for one in used if (one.beta, one.gamma) == pair])
        for method, pair in pairs.items()
    }
    printed = _paper_values(claim, pairs, files[0]) if files else {}
    lacking = _no_files(claim, dataset, of_dataset, files) or _lacking(claim, pairs, values, used)
    lacking = lacking or _no_margin(claim, printed)
    first = next(iter(used or files or of_dataset), None)
    result = DatasetResult(
        dataset=dataset,
        data=data_label(dataset, first.source, first.stand_in) if first else _name(dataset),
        stand_in=first.stand_in if first else False,
        split=_split(claim, used[0]) if used else "",
        basis=used[0].basis if used else "",
        steps=first.steps if first else None,
        verdict=Verdict.NOT_TESTED,
        reasons=lacking,
        comparisons=[],
        seeds_needed=None,
        inputs=[one.path.as_posix() for one in used],
    )
    if lacking or first is None:
        return result
    rivals = (compare(claim, r, values, printed, decision.level) for r in claim.compared_with)
    barriers = _barriers(first, decision)
    return replace(
        result,
        verdict=Verdict.NOT_JUDGED if barriers else Verdict.INCONCLUSIVE,
        reasons=barriers,
        comparisons=list(chain.from_iterable(rivals)),
    )


def _name(dataset: str) -> str:
    return DATASET_NAMES.get(dataset, dataset)


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


def _paper_values(
    claim: Claim, pairs: Mapping[Method, tuple[float, float] | None], one: Evidence
) -> dict[Method, float]:
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


def _no_files(
    claim: Claim, dataset: str, of_dataset: Sequence[Evidence], files: Sequence[Evidence]
) -> list[str]:
    if not of_dataset:
        return [f"there is no run of {_name(dataset)}"]
    if not files:
        return [f"there is no {claim.evidence}.json of {_name(dataset)}"]
    return []


def _lacking(
    claim: Claim,
    pairs: Mapping[Method, tuple[float, float] | None],
    values: Values,
    used: Sequence[Evidence],
) -> list[str]:
    """Return what is missing, a sentence part each; empty when the claim can be tested."""
    unknown = [label(method) for method, pair in pairs.items() if pair is None]
    if unknown:
        return [f"the configuration has no method called {' or '.join(unknown)}"]
    trained = {(one.beta, one.gamma) for one in used}
    absent = [label(pair) for pair in pairs.values() if pair not in trained]
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


def _barriers(one: Evidence, decision: Decision) -> list[str]:
    """Return why numbers that are there must not be judged."""
    found = []
    if one.stand_in:
        found.append("the images are drawn stand-ins, not the paper's data")
    if one.steps < decision.least_steps:
        found.append(
            f"trained for {one.steps:,} steps, and fewer than {decision.least_steps:,} are not "
            "judged"
        )
    return found


def _decide(results: Sequence[DatasetResult], decision: Decision) -> list[DatasetResult]:
    """Give the open results their verdicts, looking at all inequalities of the claim at once."""
    opened = [result for result in results if result.verdict is Verdict.INCONCLUSIVE]
    tested = [c for result in opened for c in result.comparisons if c.p_against is not None]
    adjusted = dict(zip(map(id, tested), holm([c.p_against for c in tested]), strict=True))
    decided = []
    for result in results:
        if result.verdict is Verdict.INCONCLUSIVE:
            new = [replace(c, p_against_adjusted=adjusted.get(id(c))) for c in result.comparisons]
            decided.append(_verdict(replace(result, comparisons=new), len(tested), decision))
        else:
            decided.append(result)
    return decided


def _verdict(result: DatasetResult, family: int, decision: Decision) -> DatasetResult:
    comparisons = result.comparisons
    against = [c.p_against_adjusted for c in comparisons if c.p_against_adjusted is not None]
    if any(p <= decision.alpha for p in against):
        return replace(result, verdict=Verdict.NOT_REPRODUCED)
    problems = dict.fromkeys(c.problem for c in comparisons if c.problem)
    if problems:
        return replace(result, reasons=list(problems))
    if all(c.p_for <= decision.alpha for c in comparisons):
        return replace(result, verdict=Verdict.REPRODUCED)
    return replace(
        result,
        reasons=["the seeds vary too much to tell"],
        seeds_needed=_seeds_needed(comparisons, family, decision),
    )


def _seeds_needed(comparisons: Sequence[Comparison], family: int, decision: Decision) -> int | None:
    """Return how many seeds would decide, were the observed means and spreads the true ones.

    To show a claim every inequality must be shown; to refute it one must be, after correction.
    """
    if any(c.surplus.mean < 0 for c in comparisons):
        alpha = decision.alpha / family
        counts = [
            seeds_needed(c.surplus.mean, c.spread, alpha, decision.power)
            for c in comparisons
            if c.surplus.mean < 0
        ]
        return min((n for n in counts if n is not None), default=None)
    counts = [
        seeds_needed(c.surplus.mean, c.spread, decision.alpha, decision.power) for c in comparisons
    ]
    return None if None in counts else max(counts)
