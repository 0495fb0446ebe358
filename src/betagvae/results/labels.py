"""Names and units, as tables, figures and pages print them."""

from collections.abc import Iterable

from betagvae.data.registry import DATASETS
from betagvae.data.registry import dataset as described
from betagvae.records.identity import Identified

QUANTITIES = {"reconstruction_error": "Reconstruction error", "kl": "KL divergence"}
"""What the paper compares, with the headings of tables and axes."""

LIKELIHOOD_UNITS = {
    "squared_error": "squared error summed over pixels",
    "bernoulli": "Bernoulli, nats summed over pixels",
}
"""The unit of a reconstruction error under each likelihood."""


def dataset_name(dataset: str) -> str:
    """Return a data set's name to print; that of an unknown one is its own."""
    return described(dataset).title if dataset in DATASETS else dataset


def data_label(dataset: str, source: str, stand_in: bool) -> str:
    """Return the name to print: a stand-in says that it is one."""
    name = dataset_name(dataset)
    return f"{name} stand-in ({source})" if stand_in else name


def split_label(split: str, splits: Iterable[str]) -> str:
    """Return the split's name to print; a set of which nothing is held out is `all images`."""
    return "all images" if list(splits) == ["train"] else split


def stand_in_warning(results: Iterable[Identified]) -> str:
    """Return the line that must stand above a table with stand-ins; empty without any.

    Parameters
    ----------
    results
        Anything that has a `dataset` and a `stand_in`.
    """
    names = dict.fromkeys(dataset_name(r.dataset) for r in results if r.stand_in)
    if not names:
        return ""
    return (
        f"Warning: the numbers for {' and '.join(names)} are from drawn stand-in images, not from "
        "the real ones, and cannot be compared with the paper's."
    )
