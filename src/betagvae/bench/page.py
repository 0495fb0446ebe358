"""The benchmark's page, from its record."""

from collections.abc import Mapping
from typing import Any

from betagvae.markdown import table
from betagvae.runs import DATASET_NAMES

Record = Mapping[str, Any]


def page(record: Record) -> str:
    """Return the benchmark as Markdown."""
    sections = (_conditions, _rates, _side_by_side, _methods, _evaluation, _memory, _grid)
    return (
        "\n\n".join(["# Speed of training on this machine", *(s(record) for s in sections)]) + "\n"
    )


def _printed(dataset: str) -> str:
    return DATASET_NAMES.get(dataset, dataset)


def _conditions(record: Record) -> str:
    p = record["provenance"]
    return (
        f"{p['device']}, {record['cores']} cores used, PyTorch {p['packages']['torch']}, "
        f"{record['precision']}; load of the machine before: {record['load_before']:.2f}. "
        f"Everything was measured once a round, in turn, for about {record['seconds']:g} s each; "
        f"medians over rounds: {record['rounds']}. A step is whole: from the stored bytes to the "
        "new weights of both players."
    )


def _rates(record: Record) -> str:
    reached = {
        tuple(row[key] for key in ("dataset", "method", "mode")): row["median"]
        for row in record["ratios"]["ceiling"]
    }
    header = ("Data", "Method", "Processes × threads", "Images/s", "Lowest", "Highest")
    header += ("MFLOP an image", "Matrix product, GFLOP/s", "Reached")
    rows = [
        (
            *(_printed(row["dataset"]), row["method"], row["mode"]),
            *(f"{row[key]:,.0f}" for key in ("images_per_second", "lowest", "highest")),
            f"{_step(record, row) / 1e6:.1f}",
            f"{row['ceiling_flops_per_second'] / 1e9:,.0f}",
            f"{reached[row['dataset'], row['method'], row['mode']]:.0%}",
        )
        for row in record["rates"]
    ]
    note = (
        "Images/s are those of all trainings together. MFLOP an image: matrix products and "
        "convolutions, forward and backward, of the model from plain layers. Reached: the share "
        "of a large matrix product's speed, at the same precision, processes and threads."
    )
    return f"## Speed\n\n{table(header, rows, header[3:])}\n\n{note}"


def _step(record: Record, row: Mapping[str, Any]) -> int:
    return record["operations_per_image"][row["dataset"]][row["method"]]["step"]


def _side_by_side(record: Record) -> str:
    rows = record["ratios"]["side_by_side"]
    title = f"## Trainings side by side: {rows[0]['mode']} against {rows[0]['reference']}"
    return f"{title}\n\n{_ratios(rows)}"


def _methods(record: Record) -> str:
    rows = [row for row in record["ratios"]["methods"] if row["method"] != row["reference"]]
    if not rows:
        return "## Methods\n\nOnly one method was measured."
    return f"## Methods, against {rows[0]['reference']}\n\n{_ratios(rows)}"


def _evaluation(record: Record) -> str:
    ratios = {(row["dataset"], row["mode"]): row for row in record["ratios"]["evaluation"]}
    header = ("Data", "Processes × threads", "Images/s", "Ratio", "Lowest", "Highest")
    rows = []
    for row in record["evaluation_rates"]:
        ratio = ratios[row["dataset"], row["mode"]]
        rate = f"{row['images_per_second']:,.0f}"
        of_ratio = (f"{ratio[key]:.2f}" for key in ("median", "lowest", "highest"))
        rows.append((_printed(row["dataset"]), row["mode"], rate, *of_ratio))
    title = f"## Evaluation, against training ({record['ratios']['evaluation'][0]['method']})"
    note = (
        "Codes, reconstruction error and KL divergence of every image, one model a process, at "
        "the same precision."
    )
    return f"{title}\n\n{table(header, rows, header[2:])}\n\n{note}"


def _ratios(rows: list[Mapping[str, Any]]) -> str:
    header = ("Data", "Method", "Processes × threads", "Ratio", "Lowest", "Highest")
    cells = [
        (
            *(_printed(row["dataset"]), row["method"], row["mode"]),
            *(f"{row[key]:.2f}" for key in ("median", "lowest", "highest")),
        )
        for row in rows
    ]
    return table(header, cells, header[3:])


def _memory(record: Record) -> str:
    header = ("Data", "Method", "Resident, MB", "GPU, MB")
    rows = [
        (_printed(dataset), method, *(f"{found[key] / 1e6:,.0f}" for key in ("resident", "gpu")))
        for dataset, methods in record["memory_of_a_training"].items()
        for method, found in methods.items()
    ]
    note = "Resident memory includes the pages of the image array that the training has touched."
    return f"## Memory of one training, at its peak\n\n{table(header, rows, header[2:])}\n\n{note}"


def _grid(record: Record) -> str:
    header = ("Data", "Trainings", "Processes × threads", "Hours", "Resident, MB", "GPU, MB")
    header += ("Image array, MB",)
    entries = {**record["grid"], "**all**": record["grid_total"]}
    rows = [
        (
            *(_printed(dataset), str(entry["trainings"]), mode, f"{found['hours']:,.1f}"),
            *(f"{found[key] / 1e6:,.0f}" for key in ("resident_bytes", "gpu_bytes")),
            f"{entry['array_bytes'] / 1e6:,.0f}",
        )
        for dataset, entry in entries.items()
        for mode, found in entry["modes"].items()
    ]
    lengths = {f"{s['steps']:,} × {s['batch_size']}" for s in record["trainings"].values()}
    note = (
        f"Extrapolated from the rates above; a training is {', '.join(sorted(lengths))} images "
        "(steps × batch). Training alone: data and evaluation come on top. On a CPU the image "
        "array is mapped once for all trainings, by the operating system; on a GPU each process "
        "holds its own, which is counted."
    )
    return f"## The whole grid\n\n{table(header, rows, header[3:])}\n\n{note}"
