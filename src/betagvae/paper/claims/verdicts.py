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

from betagvae.paper.claims.comparison import Comparison, compare
from betagvae.paper.claims.definition import Claim
from betagvae.paper.claims.gathering import Found, gather
from betagvae.paper.claims.statistics import holm, seeds_needed
from betagvae.results.evidence import Evidence
from betagvae.results.runs import Results

Evidences = Mapping[str, Results[Evidence]]
"""Kind of evidence to the files of it."""


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
    evidence: Evidences,
    decision: Decision,
) -> list[ClaimResult]:
    """Return the verdict of every claim.

    Parameters
    ----------
    claims
        As in the claims file.
    evidence
        What `betagvae.results.evidence.load_evidence` returns.
    decision
        What verdicts depend on besides.
    """
    return [_judge(claim, evidence, decision) for claim in claims]


def _judge(
    claim: Claim,
    evidence: Evidences,
    decision: Decision,
) -> ClaimResult:
    results = _results(claim, evidence, decision)
    if claim.split == "held_out":
        files = chain.from_iterable(results.by_folder.values() for results in evidence.values())
        splits = dict.fromkeys(chain.from_iterable(list(one.values)[1:] for one in files))
        for split in splits:
            other = _results(replace(claim, split=split), evidence, decision)
            results = [_with_split(*both, split) for both in zip(results, other, strict=True)]
    found = {result.verdict for result in results}
    return ClaimResult(claim, next(v for v in _FIRST_OF if v in found), results)


def _results(
    claim: Claim,
    evidence: Evidences,
    decision: Decision,
) -> list[DatasetResult]:
    """Return the verdict on each data set, on the claim's split."""
    examined = [_examine(claim, name, evidence, decision) for name in claim.datasets]
    return _decide(examined, decision)


def _with_split(result: DatasetResult, other: DatasetResult, split: str) -> DatasetResult:
    """Add the verdict on another split, where both mean something."""
    if {result.verdict, other.verdict} & {Verdict.NOT_JUDGED, Verdict.NOT_TESTED}:
        return result
    return replace(result, elsewhere={**result.elsewhere, split: other.verdict})


def _examine(
    claim: Claim,
    dataset: str,
    evidence: Evidences,
    decision: Decision,
) -> DatasetResult:
    """Compare on one data set; open is `inconclusive` until `_decide`."""
    found = gather(claim, dataset, evidence)
    if found.lacking:
        verdict, reasons, comparisons = Verdict.NOT_TESTED, found.lacking, []
    else:
        reasons = _barriers(found, decision)
        verdict = Verdict.NOT_JUDGED if reasons else Verdict.INCONCLUSIVE
        rivals = (
            compare(claim, rival, found.values, found.printed, decision.level)
            for rival in claim.compared_with
        )
        comparisons = list(chain.from_iterable(rivals))
    return DatasetResult(
        dataset=dataset,
        data=found.data,
        stand_in=found.stand_in,
        split=found.split,
        basis=found.basis,
        steps=found.steps,
        verdict=verdict,
        reasons=reasons,
        comparisons=comparisons,
        seeds_needed=None,
        inputs=found.inputs,
    )


def _barriers(one: Found, decision: Decision) -> list[str]:
    """Return why numbers that are there must not be judged."""
    found = []
    if one.stand_in:
        found.append("the images are drawn stand-ins, not the paper's data")
    if one.steps is not None and one.steps < decision.least_steps:
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
