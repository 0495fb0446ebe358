"""What a borrowed GPU is for, in order of worth, in calls that may be cut.

    python3 benchmarks/gpu.py --seconds 540 --bring "$OUT"     # again and again, until it is done
    python3 benchmarks/gpu.py --take FOLDER/*.tar              # at home: put the results in place

It needs this checkout and a Python with PyTorch, and no package index. The work goes on in a
session of its own while a call only watches; a call that finds no such session starts one, which
skips what is done and goes on with what was cut. Parts: the gradients of every kernel, the
trainings of a configuration, five seeds in each precision, and `betagvae bench`.
"""

import argparse
import fcntl
import json
import os
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

import torch  # noqa: E402
from configuration import (  # noqa: E402
    array_path,
    bench_command,
    configuration,
    data_command,
    run_folders,
    training_command,
)

from betagvae.errors import UserError  # noqa: E402
from betagvae.files import read_json, sha256, write_json  # noqa: E402

ARCHIVE_BYTES = 15 * 2**20
"""What one archive holds: machines are lent that give back files of 16 MiB at most."""


@dataclass(frozen=True)
class Part:
    """One part of the programme."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    """Run side by side."""
    needs: tuple[str, ...] = ()
    """Parts without which this one would be worthless."""


def programme(options: argparse.Namespace) -> list[Part]:
    """Return all parts, the worthiest first."""
    configured = configuration(options.configfile)
    (dataset,) = (name for name, entry in configured["datasets"].items() if entry)
    python, betagvae = sys.executable, (sys.executable, "-m", "betagvae")
    test = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/test_stacked.py")
    resume = ("--resume-seconds", str(options.resume_seconds))
    parts = [
        Part("gradients", tuple((*test, "-k", name) for name in ("float32", "tf32"))),
        Part("data", ((*betagvae, *data_command(configured, dataset)),)),
        Part(
            "trainings",
            ((*betagvae, *training_command(configured, dataset), *resume),),
            needs=("gradients", "data"),
        ),
        Part("gradients in bfloat16", ((*test, "-k", "bfloat16"),)),
    ]
    log_every = max(1, options.precision_steps // 100)
    for precision in options.precisions:
        compare = (python, "benchmarks/precision.py", dataset, "--precision", precision)
        compare += ("--array", array_path(configured, dataset), "--log-every", str(log_every))
        compare += ("--steps", str(options.precision_steps), "--seeds", str(options.seeds))
        compare += ("--output", str(options.output / "precision"))
        parts.append(Part(f"precision {precision}", (compare,), needs=("data",)))
    for precision in options.bench_precisions:
        paper = configuration()
        paper["training"]["precision"] = precision
        paper["bench"] |= {"rounds": options.rounds, "seconds": options.bench_seconds}
        measure = bench_command(paper, options.bench_dataset, options.output / f"bench_{precision}")
        parts.append(Part(f"bench {precision}", ((*betagvae, *measure),)))
    return parts


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or watch the programme, run it, or put its results in place."""
    options = _parse(arguments)
    os.chdir(ROOT)
    try:
        if options.take:
            take(options.take, configuration(options.configfile))
        elif options.worker:
            work(options)
        else:
            watch(options, sys.argv[1:] if arguments is None else list(arguments))
    except UserError as error:
        print(f"gpu: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    gpu = torch.cuda.is_available()
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--configfile", type=Path, default=Path("config/dsprites.yaml"))
    p.add_argument("--output", type=Path, default=Path("results/gpu"), help="records and logs")
    p.add_argument("--seconds", type=float, default=540, help="how long to watch")
    p.add_argument("--bring", type=Path, help="folder for what is to be brought home")
    p.add_argument("--take", type=Path, nargs="+", help="archives of such a folder")
    p.add_argument("--parts", nargs="+", metavar="NAME", help="these alone; all by default")
    p.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("--resume-seconds", type=float, default=120, help="what a cut costs at most")
    p.add_argument("--seeds", type=int, default=5, help="of each precision")
    p.add_argument("--precision-steps", type=int, default=5000)
    reduced = ["tf32", "bfloat16"] if gpu else ["bfloat16"]
    p.add_argument("--precisions", nargs="*", default=reduced)
    p.add_argument("--bench-precisions", nargs="*", default=["tf32", "bfloat16"] if gpu else [])
    p.add_argument("--bench-dataset", default="celeba")
    p.add_argument("--rounds", type=int, default=3, help="of bench")
    p.add_argument("--bench-seconds", type=float, default=0.5)
    return p.parse_args(arguments)


def watch(options: argparse.Namespace, words: Sequence[str]) -> None:
    """Follow the programme for a while, starting it where it does not run; then pack results."""
    options.output.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + options.seconds
    log = options.output / "programme.log"
    with log.open("ab") as appended:
        already_told = appended.tell()
        worker = None if _is_running(options.output) else _start(words, appended)
    with log.open(encoding="utf-8", errors="replace") as followed:
        followed.seek(already_told)
        running = True
        while running and time.monotonic() < end:
            time.sleep(0.5)
            running = worker.poll() is None if worker else _is_running(options.output)
            print(followed.read(), end="", flush=True)
    if options.bring:
        for archive in pack(options):
            print(f"packed {archive}")
    print("cut here: call again to go on" if running else "the programme has ended")


def _start(words: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the programme in a session of its own, which outlives this call."""
    command = [sys.executable, __file__, *words, "--worker"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def work(options: argparse.Namespace) -> None:
    """Run every part that is not done; a part that fails is noted, and the next one is run."""
    with _lock(options.output) as first:
        if not first:
            return
        environment = {**os.environ, "PYTHONPATH": "src", "PYTHONUNBUFFERED": "1"}
        done: set[str] = set()
        parts = [p for p in programme(options) if not options.parts or p.name in options.parts]
        for part in parts:
            record = options.output / "parts" / f"{part.name.replace(' ', '_')}.json"
            state = _run(part, record, environment) if set(part.needs) <= done else "left out"
            print(f"== {part.name}: {state}", flush=True)
            if state in ("done", "was done"):
                done.add(part.name)


def _run(part: Part, record: Path, environment: dict[str, str]) -> str:
    commands = [shlex.join(command) for command in part.commands]
    if record.exists() and read_json(record) == read_json(record) | {"commands": commands}:
        return "was done"
    print(f"== {part.name}: starting", flush=True)
    start = time.monotonic()
    running = [subprocess.Popen(command, env=environment) for command in part.commands]
    if failed := [process.args for process in running if process.wait()]:
        return f"failed: {shlex.join(failed[0])}"
    seconds = round(time.monotonic() - start, 1)
    write_json(record, {"commands": commands, "seconds": seconds})
    return "done"


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Hold the programme's lock, which dies with its process; yield whether it was free.

    It holds the process's number, which is its session's too: `kill -- -NUMBER` ends all of it.
    """
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield True


def _is_running(folder: Path) -> bool:
    with _lock(folder) as free:
        return not free


def pack(options: argparse.Namespace) -> list[Path]:
    """Pack records, small results and weights into archives of at most `ARCHIVE_BYTES`."""
    configured = configuration(options.configfile)
    (dataset,) = (name for name, entry in configured["datasets"].items() if entry)
    small = [p for p in sorted(options.output.rglob("*")) if p.is_file() and p.name != "lock"]
    folders = [Path(f) for of in run_folders(configured, dataset).values() for f in of]
    done = [folder for folder in folders if (folder / "training.json").exists()]
    names = ("model.safetensors", "history.csv", "training.json")
    wanted = [p for p in small if p.suffix not in (".npy", ".pt", ".safetensors")]
    wanted += [folder / name for folder in done for name in names]
    options.bring.mkdir(parents=True, exist_ok=True)
    archives: list[Path] = []
    left = 0
    for path in wanted:
        size = path.stat().st_size + 2048
        if size > left:
            archives.append(options.bring / f"results-{len(archives) + 1}.tar")
            archives[-1].unlink(missing_ok=True)
            left = ARCHIVE_BYTES
        with tarfile.open(archives[-1], "a") as archive:
            archive.add(path)
        left -= size
    return archives


def take(archives: Sequence[Path], configured: dict[str, Any]) -> None:
    """Put results in place as the workflow looks for them, after its images, and check them.

    Raises
    ------
    UserError
        When weights are not those of their record, or were trained on other images than those here.
    """
    (dataset,) = (name for name, entry in configured["datasets"].items() if entry)
    images = Path(array_path(configured, dataset)).with_suffix(".json")
    if not images.exists():
        raise UserError(f"there is no {images}: make it first (snakemake data), it must be older")
    expected = read_json(images)["hashes"]
    for path in archives:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            archive.extractall(ROOT, filter="data")
        for member in members:
            # The workflow takes for out of date what is older than its images.
            with suppress(FileNotFoundError):
                os.utime(ROOT / member.name)
    for folders in run_folders(configured, dataset).values():
        for folder in map(Path, folders):
            _check(folder, expected)


def _check(folder: Path, expected: dict[str, Any]) -> None:
    record = folder / "training.json"
    if not record.exists():
        print(f"missing: {folder}")
        return
    content = json.loads(record.read_text(encoding="utf-8"))
    if content["weights"]["sha256"] != sha256(folder / "model.safetensors"):
        raise UserError(f"{folder}/model.safetensors is damaged: bring it again")
    if content["data"]["hashes"] != expected:
        raise UserError(f"{folder} was trained on other images than those here")
    print(f"in place: {folder}")


if __name__ == "__main__":
    sys.exit(main())
