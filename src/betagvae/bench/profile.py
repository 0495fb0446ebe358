"""Where a step's time on a GPU goes, kernel by kernel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch.profiler import ProfilerActivity, profile

from betagvae.records.files import read_json

ON_THE_DEVICE = {"kernel", "gpu_memcpy", "gpu_memset"}
"""Categories of a trace's events."""


@dataclass(frozen=True)
class KernelTime:
    """A kernel with the launch that tells its uses apart, in a step of all trainings together."""

    name: str
    grid: tuple[int, ...]
    """Blocks along each axis; of a copy or a fill, none."""
    block: tuple[int, ...]
    """Threads along each axis."""
    registers: int
    """Of a thread."""
    shared_bytes: int
    """Of a block."""
    launches: float
    microseconds: float
    """Of all launches together."""
    share: float
    """Of the time of all kernels together."""


@dataclass(frozen=True)
class Profile:
    """A step of all trainings together; a replay of a CUDA graph is seen kernel by kernel."""

    microseconds: float
    """From the first kernel's start to the last one's end, a step."""
    kernels: list[KernelTime]
    """Longest first."""


def profiled(work: Callable[[], object], steps: int) -> Profile:
    """Do work that takes so many steps on a GPU, and waits for them; return where time went."""
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as recorded:
        work()
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(trace))
        return from_trace(read_json(trace), steps)


def from_trace(trace: Mapping[str, Any], steps: int) -> Profile:
    """Sum the events of a Chrome trace by kernel and launch; times there are microseconds.

    Where the profiler may not look at the device, there are none.
    """
    events = [e for e in trace["traceEvents"] if e.get("cat") in ON_THE_DEVICE]
    if not events:
        return Profile(0.0, [])
    durations: dict[tuple[Any, ...], list[float]] = {}
    for event in events:
        durations.setdefault(_launch(event), []).append(event["dur"])
    of_all = sum(map(sum, durations.values()))
    kernels = [
        KernelTime(*launch, len(found) / steps, sum(found) / steps, sum(found) / of_all)
        for launch, found in durations.items()
    ]
    span = max(e["ts"] + e["dur"] for e in events) - min(e["ts"] for e in events)
    return Profile(span / steps, sorted(kernels, key=lambda k: -k.microseconds))


def _launch(event: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the first fields of `KernelTime`."""
    details = event.get("args", {})
    return (
        event["name"],
        tuple(details.get("grid", ())),
        tuple(details.get("block", ())),
        details.get("registers per thread", 0),
        details.get("shared memory", 0),
    )
