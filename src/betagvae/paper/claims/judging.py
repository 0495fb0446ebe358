"""Claims file and evidence in, verdicts out."""

from pathlib import Path

from betagvae.experiment import Experiment
from betagvae.paper.claims.definition import load_claims
from betagvae.paper.claims.page import as_data, as_page
from betagvae.paper.claims.verdicts import Decision, judge
from betagvae.records.files import write_json, write_text
from betagvae.results.evidence import load_evidence


def judge_claims(
    claims: Path, experiment: Experiment, level: float, data: Path, page: Path
) -> None:
    """Judge every claim and write the verdicts.

    Parameters
    ----------
    claims
        The claims file.
    experiment
        Its trainings' files of numbers are the evidence, as far as they are there.
    level
        Confidence level of the intervals, between 0 and 1.
    data, page
        JSON and Markdown files to write.

    Raises
    ------
    UserError
        When a file is damaged.
    """
    defined = load_claims(claims)
    decision = Decision(level, defined.power, defined.least_steps)
    results = judge(defined.claims, load_evidence(experiment), decision)
    write_json(data, as_data(results, decision))
    write_text(page, as_page(results, decision))
