"""The verdicts as a page for readers and as data for programs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from betagvae.paper import reported as paper
from betagvae.paper.claims.comparison import Comparison, label
from betagvae.paper.claims.definition import Claim
from betagvae.paper.claims.statistics import MOST_SEEDS
from betagvae.paper.claims.verdicts import ClaimResult, DatasetResult, Decision, Verdict
from betagvae.results.intervals import Interval
from betagvae.results.labels import LIKELIHOOD_UNITS, dataset_name
from betagvae.results.markdown import escaped, table
from betagvae.settings.setting import number

NONE = "–"
_QUANTITIES = {"reconstruction_error": "reconstruction error", "kl": "KL divergence"}
_RELATIONS = {"lower": "lower than", "higher": "higher than", "close": "close to"}


def as_data(results: Sequence[ClaimResult], decision: Decision) -> dict[str, Any]:
    """Return everything as plain data: the decision rule, then every claim."""
    claims = [asdict(result) for result in results]
    return {"paper": f"https://doi.org/{paper.DOI}", **asdict(decision), "claims": claims}


def as_page(results: Sequence[ClaimResult], decision: Decision) -> str:
    """Return a Markdown page: verdicts first, then a section a claim, then the method."""
    parts = [
        "# Which of the paper's claims hold",
        *_not_judged(results),
        _counts(results),
        _overview(results, decision),
        _legend(decision),
        *(_section(result, decision) for result in results),
        _method(decision),
    ]
    return "\n\n".join(parts) + "\n"


def _not_judged(results: Sequence[ClaimResult]) -> list[str]:
    """Return a warning where nothing is judged, and one a data set that must not be."""
    tests = [test for result in results for test in result.results]
    barred = {test.data: test.reasons for test in tests if test.verdict is Verdict.NOT_JUDGED}
    listed = [f"**Not judged: {data}.** {_sentence(reasons)}" for data, reasons in barred.items()]
    if {test.verdict for test in tests} <= {Verdict.NOT_JUDGED, Verdict.NOT_TESTED}:
        return ["**No claim of the paper is judged here.**", *listed]
    return listed


def _counts(results: Sequence[ClaimResult]) -> str:
    tests = [test for result in results for test in result.results]
    count = Counter(test.verdict for test in tests)
    listed = ", ".join(f"{count[verdict]} {verdict}" for verdict in Verdict)
    return f"{len(results)} claims in {len(tests)} tests, one a data set: {listed}."


def _overview(results: Sequence[ClaimResult], decision: Decision) -> str:
    interval = f"Difference ({100 * decision.level:g} % interval)"
    header = ["Claim", "What the paper says", "Data", "Verdict", "Compared", interval]
    numbers = ["Claimed", "Paper", "Seeds", "Seeds needed"]
    rows = [_row(result.claim, test) for result in results for test in result.results]
    return table(header + numbers, rows, [interval, *numbers])


def _row(claim: Claim, test: DatasetResult) -> list[str]:
    start = [claim.id, escaped(claim.text), _data(claim, test), f"**{test.verdict}**"]
    if not test.comparisons:
        return [*start, _sentence(test.reasons), *[NONE] * 5]
    weakest = min(test.comparisons, key=_strength)
    count = len(test.comparisons)
    compared = _compared(weakest) + (f" (the weakest of {count})" if count > 1 else "")
    return [
        *start,
        compared,
        _range(weakest.difference),
        _claimed(weakest),
        _paper(weakest, test),
        str(len(weakest.seeds)),
        _seeds_needed(test),
    ]


def _data(claim: Claim, test: DatasetResult) -> str:
    return f"{test.data} (the paper: {dataset_name(claim.made_on)})" if claim.made_on else test.data


def _strength(comparison: Comparison) -> float:
    """Return how far a comparison supports its claim: the low end of its surplus."""
    surplus = comparison.surplus
    if surplus is None:
        return float("-inf")
    return surplus.mean if surplus.low is None else surplus.low


def _compared(comparison: Comparison) -> str:
    return f"{comparison.method} − {comparison.compared_with}"


def _claimed(comparison: Comparison) -> str:
    return f"{comparison.side} {_number(comparison.bound)}"


def _paper(comparison: Comparison, test: DatasetResult) -> str:
    """Return the paper's difference, marked where it is not what our seeds would give."""
    text = _number(comparison.paper_difference)
    if test.verdict is Verdict.NOT_JUDGED or comparison.paper_fits is not False:
        return text
    return f"{text} (!)"


def _seeds_needed(test: DatasetResult) -> str:
    if test.verdict is not Verdict.INCONCLUSIVE or any(c.problem for c in test.comparisons):
        return NONE
    return f"over {MOST_SEEDS:,}" if test.seeds_needed is None else f"about {test.seeds_needed}"


def _number(value: float | None) -> str:
    """Return three digits, with a true minus sign."""
    if value is None:
        return NONE
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def _range(value: Interval | None) -> str:
    if value is None:
        return NONE
    if value.low is None:
        return _number(value.mean)
    return f"{_number(value.mean)} ({_number(value.low)} to {_number(value.high)})"


def _sentence(reasons: Sequence[str]) -> str:
    text = "; ".join(reasons)
    return escaped(text[:1].upper() + text[1:] + ".")


def _legend(decision: Decision) -> str:
    return (
        "Difference: mean over seeds, each seed's trainings paired. Claimed: where the paper's "
        "claim puts it, with the margin that counts. Paper: the difference of the paper's own "
        "numbers, for which it gives no spread; (!) where it lies outside what one more seed of "
        f"ours would give in {100 * decision.level:g} % of cases. Where a claim has several "
        "comparisons, the one that supports it least is shown. Seeds needed: about how many would "
        f"decide with a probability of {100 * decision.power:g} %, were the difference and spread "
        "seen here the true ones."
    )


def _section(result: ClaimResult, decision: Decision) -> str:
    claim = result.claim
    parts = [
        f"## {claim.id}. {escaped(claim.text)}: {result.verdict}",
        f"The paper: {claim.where}.{_elsewhere(claim)} {_test(claim)}",
        *(_outcome(test) for test in result.results),
    ]
    tested = [test for test in result.results if test.comparisons]
    return "\n\n".join([*parts, _comparisons(tested, decision)] if tested else parts)


def _elsewhere(claim: Claim) -> str:
    """Return that the paper's claim is about other data, where it is."""
    if not claim.made_on:
        return ""
    ours = " and ".join(dataset_name(name) for name in claim.datasets)
    return (
        f" The paper claims this of {dataset_name(claim.made_on)}; here it is asked of {ours}, "
        "for which the paper gives no numbers."
    )


def _test(claim: Claim) -> str:
    """Return in words what is tested."""
    *others, last = map(label, claim.compared_with)
    rivals = f"each of {', '.join(others)} and {last}" if others else last
    measured = _QUANTITIES.get(claim.quantity, f"`{claim.quantity}`")
    if claim.quantity == "objective":
        measured = f"reconstruction error + {number(claim.beta)} · KL divergence"
    return (
        f"Tested: the {measured} of {label(claim.method)} is {_RELATIONS[claim.relation]} that of "
        f"{rivals}, {_margin(claim)}."
    )


def _margin(claim: Claim) -> str:
    margin, by = claim.margin, "within" if claim.relation == "close" else "by more than"
    if margin.of_paper:
        return f"{by} {100 * margin.of_paper:g} % of the paper's own difference"
    if margin.of_compared:
        return f"{by} {100 * margin.of_compared:g} % of the value compared with"
    if margin.of_gap:
        ends = " and ".join(map(label, margin.between))
        return f"{by} {100 * margin.of_gap:g} % of the gap measured here between {ends}"
    return f"{by} {margin.absolute:g}" if margin.absolute else "by any amount"


def _outcome(test: DatasetResult) -> str:
    """Return a data set's verdict, why, and what its numbers are."""
    split = test.split if test.split in ("", "all images") else f"{test.split} split"
    length = "" if test.steps is None else f"{test.steps:,} steps"
    details = ", ".join(part for part in (split, length, _basis(test)) if part)
    why = _sentence(test.reasons) if test.reasons else _shown(test)
    text = f"**{test.data}: {test.verdict}.** {why}" + (f" ({details})" if details else "")
    others = "; ".join(f"{split} split: {verdict}" for split, verdict in test.elsewhere.items())
    return text + (f" The paper names no split; on the {others}." if others else "")


def _basis(test: DatasetResult) -> str:
    if not test.basis or test.basis in LIKELIHOOD_UNITS:
        return LIKELIHOOD_UNITS.get(test.basis, "")
    return f"features: {test.basis}"


def _shown(test: DatasetResult) -> str:
    if test.verdict is Verdict.REPRODUCED:
        every = "every comparison" if len(test.comparisons) > 1 else "the difference"
        return f"The seeds show {every} on the claimed side of its margin."
    return "The seeds show a difference that is smaller than claimed, or on the other side."


def _comparisons(tests: Sequence[DatasetResult], decision: Decision) -> str:
    percent = f"{100 * decision.level:g} % interval"
    left = ["Data", "Compared"]
    right = [
        f"Difference ({percent})",
        "Claimed",
        f"Surplus over the margin ({percent})",
        "Seeds in favour",
        "p for",
        "p against (corrected)",
        "Paper",
    ]
    rows = [
        [
            test.data,
            _compared(c),
            _range(c.difference),
            _claimed(c),
            _range(c.surplus),
            f"{c.in_favour} of {len(c.seeds)}",
            _p(c.p_for),
            _p(c.p_against if c.p_against_adjusted is None else c.p_against_adjusted),
            _paper(c, test),
        ]
        for test in tests
        for c in test.comparisons
    ]
    return table(left + right, rows, right)


def _p(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _method(decision: Decision) -> str:
    percent, alpha = f"{100 * decision.level:g} %", f"{decision.alpha:g}"
    return f"""\
## How a verdict is reached

The unit is the seed: one training of each method a seed, and trainings that share a seed are
compared with each other. Each claim has a margin, the smallest difference that counts. The surplus
is how far the difference lies beyond the margin on the claimed side, and its {percent} interval
decides:

- **reproduced**: the interval lies above zero for every comparison (p for ≤ {alpha}). Every one
  must pass on its own, so looking at several makes this no easier and needs no correction;
- **not reproduced**: for at least one comparison the surplus is shown to be below zero: the
  difference is smaller than the margin, or has the other sign (p against ≤ {alpha}, corrected by
  Holm's method for all comparisons of the claim, so with several comparisons the interval must lie
  further below zero);
- **inconclusive**: neither; more seeds are needed, and how many is stated where it can be told;
- **not judged**: numbers that no verdict may rest on: stand-ins for the paper's images, or
  trainings shorter than {decision.least_steps:,} steps;
- **not tested**: a run or a file is missing, and which one is stated.

The paper's own number is set beside ours: (!) marks it where it lies outside the {percent}
prediction interval for one more seed, so that it is not a number that our seeds could give. A claim
can be reproduced and marked so: the effect is there, but not in the paper's size.

Assumed: seeds are independent, their number was fixed beforehand (adding seeds until a verdict
appears makes wrong ones more frequent: train the number that is needed at once), and differences
between trainings that share a seed are about normal (Student's t). The margins are choices of this
reproduction, since the paper gives none. Each claim is decided on its own: no correction is made
for the number of claims. The intervals tell how results vary with the seed, not with other images,
settings or hardware."""
