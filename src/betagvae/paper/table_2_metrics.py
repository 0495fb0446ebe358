"""Table 2 as nested numbers, the form in which DVC compares metrics between experiments."""

from pathlib import Path
from typing import Any

from betagvae.records.files import read_csv, write_json
from betagvae.results.labels import QUANTITIES


def table_metrics(table: Path, output: Path) -> None:
    """Write the means over seeds of a table, as data set → split → method → quantity (JSON).

    Parameters
    ----------
    table
        Table 2 as CSV. Reconstruction error is a sum over the pixels of an image, in the unit of
        the data set's likelihood; KL divergence is in nats.
    output
        Where to write. A stand-in's data set is named `… (stand-in)`.
    """
    nested: dict[str, Any] = {}
    for row in read_csv(table):
        dataset = row["dataset"] + (" (stand-in)" if row["stand_in"] == "True" else "")
        split = nested.setdefault(dataset, {}).setdefault(row["split"], {})
        split[row["method"]] = {name: float(row[f"{name}_mean"]) for name in QUANTITIES}
    write_json(output, nested)
