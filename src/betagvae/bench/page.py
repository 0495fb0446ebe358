"""The benchmark's page, from its record."""

from collections.abc import Mapping
from typing import Any

from betagvae.results.labels import dataset_name
from betagvae.results.markdown import table

Record = Mapping[str, Any]

LONGEST_KERNELS = 15
"""Of a profile's that are printed."""

LONGEST_NAME = 60
"""Letters of a kernel's name that are printed."""


def page(record: Record) -> str:
    """Return the benchmark as Markdown."""
    sections = [_conditions, _rates]
    if record["floors"]:
        sections += [_floor, _bytes]
    sections += [_side_by_side, _methods, _evaluation, _memory, _grid]
    if record["profiles"]:
        sections.append(_profiles)
    return (
        "\n\n".join(["# Speed of training on this machine", *(s(record) for s in sections)]) + "\n"
    )


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
            *(dataset_name(row["dataset"]), row["method"], row["mode"]),
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


def _floor(record: Record) -> str:
    header = ("Data", "Method", "Processes × threads", "Steps/s", "Floor of memory, steps/s")
    header += ("Floor of arithmetic, steps/s", "Reached")
    reached = {
        tuple(row[key] for key in ("dataset", "method", "mode")): row["median"]
        for row in record["ratios"]["floor"]
    }
    rows = [
        (
            *(dataset_name(row["dataset"]), row["method"], mode),
            *(f"{of_mode[key]:,.0f}" for key in ("reached", "memory", "arithmetic")),
            f"{reached[row['dataset'], row['method'], mode]:.0%}",
        )
        for row in record["floors"]
        for mode, of_mode in row["modes"].items()
    ]
    note = (
        "Steps/s are those of all trainings together. The floor is the larger of two times a step: "
        "the fewest bytes that its kernels read and write, at the speed of a large copy, and the "
        "operations of its products, at that of a large matrix product (in float32 the faster one: "
        "of float32 or of three of TF32). It takes every kernel's maps from memory; those of few "
        "trainings fit into a GPU's cache."
    )
    if hours := record["grid_total"]["floor_hours"]:
        note += f" At the floor the whole grid takes {hours:.1f} hours."
    return f"## Against the GPU's floor\n\n{table(header, rows, header[3:])}\n\n{note}"


def _bytes(record: Record) -> str:
    kinds = list(
        dict.fromkeys(kernel["kind"] for row in record["floors"] for kernel in row["kernels"])
    )
    header = ("Data", "Method", "Copy, GB/s", "GFLOP a step", "MB a step", *kinds)
    rows = []
    for row in record["floors"]:
        moved = dict.fromkeys(kinds, 0)
        for kernel in row["kernels"]:
            moved[kernel["kind"]] += kernel["bytes_moved"]
        rows.append(
            (
                *(dataset_name(row["dataset"]), row["method"]),
                f"{row['copied_bytes_per_second'] / 1e9:,.0f}",
                f"{row['operations_of_a_step'] / 1e9:.2f}",
                *(f"{count / 1e6:.1f}" for count in (row["bytes_of_a_step"], *moved.values())),
            )
        )
    note = (
        "Of one training; the columns after MB a step are its parts. A kernel reads each input "
        "once and writes each output once; Adam is done where the weights' gradient is computed. "
        "bench.json has the kernels of every layer."
    )
    return f"## What the floor counts\n\n{table(header, rows, header[2:])}\n\n{note}"


def _profiles(record: Record) -> str:
    note = (
        "µs: of a step of all trainings together, summed over a kernel's launches with the same "
        f"grid, registers and shared memory. The longest {LONGEST_KERNELS}; all are in bench.json. "
        "Share: of the time of all kernels."
    )
    return "\n\n".join(["## Where the time goes", note, *map(_profile, record["profiles"])])


def _profile(profile: Mapping[str, Any]) -> str:
    kernels = profile["kernels"]
    header = ("Kernel", "Grid", "Registers", "Shared memory, kB", "Launches", "µs", "Share")
    rows = [
        (
            f"`{kernel['name'][:LONGEST_NAME]}`".replace("|", "\\|"),
            " × ".join(map(str, kernel["grid"])),
            str(kernel["registers"]),
            f"{kernel['shared_bytes'] / 1000:.1f}",
            f"{kernel['launches']:.1f}",
            f"{kernel['microseconds']:.1f}",
            f"{kernel['share']:.1%}",
        )
        for kernel in kernels[:LONGEST_KERNELS]
    ]
    of_all = sum(kernel["microseconds"] for kernel in kernels)
    printed = sum(kernel["share"] for kernel in kernels[:LONGEST_KERNELS])
    return (
        f"### {dataset_name(profile['dataset'])}, {profile['method']}, {profile['mode']}\n\n"
        f"{table(header, rows, header[2:])}\n\n"
        f"A step took {profile['microseconds']:,.0f} µs, its {len(kernels)} kernels "
        f"{of_all:,.0f} µs; these are {printed:.0%} of them."
    )


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
        rows.append((dataset_name(row["dataset"]), row["mode"], rate, *of_ratio))
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
            *(dataset_name(row["dataset"]), row["method"], row["mode"]),
            *(f"{row[key]:.2f}" for key in ("median", "lowest", "highest")),
        )
        for row in rows
    ]
    return table(header, cells, header[3:])


def _memory(record: Record) -> str:
    header = ("Data", "Method", "Resident, MB", "GPU, MB")
    rows = [
        (
            dataset_name(dataset),
            method,
            *(f"{found[key] / 1e6:,.0f}" for key in ("resident", "gpu")),
        )
        for dataset, methods in record["memory_of_a_training"].items()
        for method, found in methods.items()
    ]
    note = "Resident memory includes the pages of the image array that the training has touched."
    return f"## Memory of one training, at its peak\n\n{table(header, rows, header[2:])}\n\n{note}"


def _grid(record: Record) -> str:
    header = ("Data", "Trainings", "Processes × threads", "Hours", "Resident, MB", "GPU, MB")
    header += ("Image array, MB",)
    entries = {dataset_name(name): entry for name, entry in record["grid"].items()}
    entries["**all**"] = record["grid_total"]
    rows = [
        (
            *(name, str(entry["trainings"]), mode, f"{found['hours']:,.1f}"),
            *(f"{found[key] / 1e6:,.0f}" for key in ("resident_bytes", "gpu_bytes")),
            f"{entry['array_bytes'] / 1e6:,.0f}",
        )
        for name, entry in entries.items()
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
