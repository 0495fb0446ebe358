"""A verdict for each of the paper's claims, from the numbers of all runs.

``definition`` reads what is claimed, ``gathering`` finds the numbers, ``comparison`` sets two
methods side by side, ``statistics`` says what seeds can show, ``verdicts`` decides, ``page`` writes
it down.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from betagvae.paper.claims.definition import load_claims
from betagvae.paper.claims.page import as_data, as_page
from betagvae.paper.claims.verdicts import Decision, judge
from betagvae.records.files import write_json, write_text
from betagvae.results.evidence import load_evidence

__all__ = ["judge_claims"]


def judge_claims(
    claims: Path,
    evidence: Sequence[Path],
    methods: Mapping[str, tuple[float, float]],
    level: float,
    data: Path,
    page: Path,
) -> None:
    """Judge every claim and write the verdicts.

    Parameters
    ----------
    claims
        The claims file.
    evidence
        Files beside the runs, of any kind that `betagvae.results.evidence` reads.
    methods
        Name to (β, γ).
    level
        Confidence level of the intervals, between 0 and 1.
    data, page
        JSON and Markdown files to write.

    Raises
    ------
    UserError
        When a file is damaged, or runs cannot be compared.
    """
    defined = load_claims(claims)
    decision = Decision(level, defined.power, defined.least_steps)
    results = judge(defined.claims, load_evidence(evidence), methods, decision)
    write_json(data, as_data(results, decision))
    write_text(page, as_page(results, decision))
