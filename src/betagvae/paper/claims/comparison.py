"""Two methods compared over the seeds that they share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

from betagvae.experiment import pair_label
from betagvae.paper.claims.definition import Claim, Margin, Method
from betagvae.paper.claims.statistics import prediction, tails
from betagvae.results.intervals import Interval, interval

_SIGNS = {"lower": ((-1, -1),), "higher": ((1, -1),), "close": ((-1, 1), (1, 1))}
"""Relation to the signs (a, b) of its surpluses a · difference + b · margin: all must be above 0.

`close` asks for two: not higher by the margin or more, and not lower (Schuirmann 1987's two
one-sided tests).
"""

_ROUNDING = 1e-9
"""Spread, relative to the values, that is no more than rounding."""

Values = Mapping[Method, Mapping[int, float]]
"""Method to seed to value."""


@dataclass(frozen=True)
class Comparison:
    """One inequality of a claim and what the seeds say about it."""

    method: str
    compared_with: str
    side: str
    """`below` or `above`: where the claim puts the difference, as seen from `bound`."""
    bound: float | None
    """Signed margin; the mean over seeds where the margin is measured."""
    seeds: list[int]
    differences: list[float | None]
    """Method − compared with, a seed each, in the quantity's unit; None where not finite."""
    difference: Interval | None
    surplus: Interval | None
    """How far the difference lies on the claimed side of the bound; decides."""
    spread: float | None
    """Standard deviation of the surplus over seeds."""
    in_favour: int
    """Seeds whose own surplus is above zero."""
    paper_difference: float | None
    one_more_seed: tuple[float, float] | None
    """Where the difference of one more seed would lie: the paper's, if it were one."""
    problem: str
    """Why nothing can be decided, whatever the numbers; empty where it can."""
    p_for: float | None = None
    """One-sided; small when the surplus is above zero."""
    p_against: float | None = None
    """One-sided; small when the surplus is below zero."""
    p_against_adjusted: float | None = None
    """The same, adjusted (Holm) for all inequalities of the claim."""
    p_sign_flip: float | None = None
    """As `p_for`, by an exact sign-flip test: a check that assumes no normality."""

    @property
    def paper_fits(self) -> bool | None:
        """Whether the paper's difference is what one more seed could give; None if unknown."""
        if self.paper_difference is None or self.one_more_seed is None:
            return None
        low, high = self.one_more_seed
        return low <= self.paper_difference <= high


def label(method: Method) -> str:
    """Return a method's name, or its pair of weights."""
    return method if isinstance(method, str) else pair_label(method)


def shared_seeds(claim: Claim, rival: Method, values: Values) -> list[int]:
    """Return the seeds that all methods of one comparison have."""
    needed = claim.methods_of(rival)
    return sorted(set.intersection(*(set(values[method]) for method in needed)))


def compare(
    claim: Claim, rival: Method, values: Values, paper_values: Mapping[Method, float], level: float
) -> list[Comparison]:
    """Compare a claim's method with one other, seed by seed.

    Parameters
    ----------
    claim
        Relation and margin are taken from it.
    rival
        One of what the claim compares with.
    values
        Of all methods of the claim; `shared_seeds` is not empty.
    paper_values
        What the paper prints, where it does.
    level
        Confidence level of the intervals.
    """
    seeds = shared_seeds(claim, rival, values)
    at = [{method: values[method][seed] for method in claim.methods_of(rival)} for seed in seeds]
    differences = [value[claim.method] - value[rival] for value in at]
    known = claim.method in paper_values and rival in paper_values
    paper_difference = paper_values[claim.method] - paper_values[rival] if known else None
    margins = [_margin(claim.margin, value, rival, paper_difference) for value in at]
    common = {
        "method": label(claim.method),
        "compared_with": label(rival),
        "seeds": seeds,
        "differences": [value if math.isfinite(value) else None for value in differences],
        "paper_difference": paper_difference,
    }
    return [
        Comparison(**common, **_decision(sign, differences, other, margins, level))
        for sign, other in _SIGNS[claim.relation]
    ]


def _margin(
    margin: Margin, at: Mapping[Method, float], rival: Method, paper_difference: float | None
) -> float:
    """Return the margin for one seed."""
    gap = at[margin.between[1]] - at[margin.between[0]] if margin.between else 0.0
    return (
        margin.absolute
        + margin.of_paper * abs(paper_difference or 0.0)
        + margin.of_compared * abs(at[rival])
        + margin.of_gap * gap
    )


def _decision(
    sign: int, differences: Sequence[float], other: int, margins: Sequence[float], level: float
) -> dict[str, object]:
    """Return the fields of a comparison that tell how its difference stands to its bound."""
    surpluses = [sign * d + other * m for d, m in zip(differences, margins, strict=True)]
    found = {
        "side": "above" if sign > 0 else "below",
        "in_favour": sum(value > 0 for value in surpluses),
        "problem": _problem(surpluses),
        **dict.fromkeys(("bound", "difference", "surplus", "spread", "one_more_seed")),
    }
    if not all(map(math.isfinite, surpluses)):
        return found
    found["bound"] = -sign * other * sum(margins) / len(margins)
    found["difference"] = interval(differences, level)
    found["surplus"] = interval(surpluses, level)
    if not found["problem"]:
        p = tails(surpluses)
        found |= {"p_for": p.above, "p_against": p.below, "p_sign_flip": p.sign_flip}
        found["spread"] = stdev(surpluses)
        found["one_more_seed"] = prediction(differences, level)
    return found


def _problem(surpluses: Sequence[float]) -> str:
    if not all(map(math.isfinite, surpluses)):
        return "a training diverged: its numbers are not finite"
    if len(surpluses) == 1:
        return "one seed has no spread to judge the difference by"
    if stdev(surpluses) <= _ROUNDING * max(map(abs, surpluses)):
        return "the seeds do not differ at all, as separate trainings would"
    return ""
