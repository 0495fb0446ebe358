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
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

import torch  # noqa: E402
import yaml  # noqa: E402
from configuration import (  # noqa: E402
    array_path,
    bench_command,
    configuration,
    data_command,
    training_command,
    trainings,
)

from betagvae.errors import UserError  # noqa: E402
from betagvae.records.files import read_json, sha256, write_json  # noqa: E402
from betagvae.settings.setting import made  # noqa: E402
from betagvae.settings.training import TrainingSettings  # noqa: E402

ARCHIVE_BYTES = 15 * 2**20
"""What one archive holds: machines are lent that give back files of 16 MiB at most."""


RECORDS = Path("results/gpu")
RESULTS = ("model.safetensors", "history.csv", "training.json")
"""Files of a training."""


@dataclass(frozen=True)
class Part:
    """One part of the programme."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    """Run side by side."""
    needs: tuple[str, ...] = ()
    """Parts without which this one would be worthless."""

    def record(self, folder: Path) -> Path:
        """Return the file that says that the part is done."""
        return folder / "parts" / f"{self.name.replace(' ', '_')}.json"

    def is_done(self, folder: Path) -> bool:
        """Return whether the very commands were run to their end."""
        with suppress(UserError):
            return read_json(self.record(folder)).get("commands") == self.words
        return False

    @property
    def words(self) -> list[str]:
        """The commands as a shell has them."""
        return [shlex.join(command) for command in self.commands]


def programme(options: argparse.Namespace) -> list[Part]:
    """Return the parts that are asked for, the worthiest first.

    Raises
    ------
    UserError
        When the configuration cannot be read or used, or there is no part of a name.
    """
    configured = read_configuration(options.configfile)
    dataset = dataset_of(configured)
    parts = [*_trainings(configured, dataset, options), *_comparisons(configured, dataset, options)]
    parts += _measurements(options)
    names = [part.name for part in parts]
    if unknown := sorted(set(options.parts or ()) - set(names)):
        raise UserError(f"no part {unknown[0]!r}: choose among {', '.join(names)}")
    return [part for part in parts if not options.parts or part.name in options.parts]


def gradients(precision: str) -> Part:
    """Return the test of every kernel in a precision."""
    test = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    return Part(f"gradients {precision}", ((*test, "tests/unit/test_stacked.py", "-k", precision),))


def _trainings(
    configured: Mapping[str, Any], dataset: str, options: argparse.Namespace
) -> list[Part]:
    betagvae = (sys.executable, "-m", "betagvae")
    needed = gradients(configured["training"]["precision"])
    train = (*betagvae, *training_command(configured, dataset))
    train += ("--resume-seconds", str(options.resume_seconds))
    return [
        needed,
        Part("data", ((*betagvae, *data_command(configured, dataset)),)),
        Part("trainings", (train,), needs=(needed.name, "data")),
    ]


def _comparisons(
    configured: Mapping[str, Any], dataset: str, options: argparse.Namespace
) -> list[Part]:
    """Return five seeds in float32 against each other precision, each after its gradients."""
    done = configured["training"]["precision"]
    parts = [gradients(p) for p in dict.fromkeys(("float32", *options.precisions)) if p != done]
    log_every = max(1, options.precision_steps // 100)
    for precision in options.precisions:
        compare = (sys.executable, "benchmarks/precision.py", dataset, "--precision", precision)
        compare += ("--array", array_path(configured, dataset), "--log-every", str(log_every))
        compare += ("--steps", str(options.precision_steps), "--seeds", str(options.seeds))
        compare += ("--output", str(options.output / "precision"))
        needs = ("data", "gradients float32", f"gradients {precision}")
        parts.append(Part(f"precision {precision}", (compare,), needs))
    return parts


def _measurements(options: argparse.Namespace) -> list[Part]:
    parts = []
    for precision in options.bench_precisions:
        paper = configuration()
        paper["training"]["precision"] = precision
        paper["bench"] |= {"rounds": options.rounds, "seconds": options.bench_seconds}
        measure = bench_command(paper, options.bench_dataset, options.output / f"bench_{precision}")
        command = (sys.executable, "-m", "betagvae", *measure)
        parts.append(Part(f"bench {precision}", (command,)))
    return parts


def read_configuration(path: Path) -> dict[str, Any]:
    """Return the paper's configuration, changed by a file."""
    try:
        return configuration(path)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from error


def dataset_of(configured: Mapping[str, Any]) -> str:
    """Return the one data set of a configuration."""
    names = [name for name, entry in configured["datasets"].items() if entry]
    if len(names) != 1:
        raise UserError(f"the configuration has {' and '.join(names) or 'no data set'}: name one")
    return names[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or watch the programme, run it, or put its results in place."""
    options = _parse(arguments)
    os.chdir(ROOT)
    try:
        if options.take:
            take(options.take, read_configuration(options.configfile))
            return 0
        if options.worker:
            return work(options)
        return watch(options, sys.argv[1:] if arguments is None else list(arguments))
    except UserError as error:
        print(f"gpu: {error}", file=sys.stderr)
        return 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    gpu = torch.cuda.is_available()
    reduced = ["tf32", "bfloat16"] if gpu else ["bfloat16"]
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--configfile", type=Path, default=ROOT / "config" / "dsprites.yaml")
    p.add_argument("--output", type=Path, default=RECORDS, help="records and logs")
    p.add_argument("--seconds", type=float, default=540, help="how long to watch")
    p.add_argument("--bring", type=Path, help="folder for what is to be brought home")
    p.add_argument("--take", type=Path, nargs="+", help="archives of such a folder")
    p.add_argument("--parts", nargs="+", metavar="NAME", help="these alone; all by default")
    p.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("--resume-seconds", type=float, default=120, help="what a cut costs at most")
    p.add_argument("--seeds", type=int, default=5, help="of each precision")
    p.add_argument("--precision-steps", type=int, default=5000)
    p.add_argument("--precisions", nargs="*", default=reduced)
    p.add_argument("--bench-precisions", nargs="*", default=reduced if gpu else [])
    p.add_argument("--bench-dataset", choices=configuration()["datasets"], default="celeba")
    p.add_argument("--rounds", type=int, default=3, help="of bench")
    p.add_argument("--bench-seconds", type=float, default=0.5)
    options = p.parse_args(arguments)
    # The work is done in the checkout, wherever it is called from.
    options.configfile = options.configfile.resolve()
    options.bring = options.bring and options.bring.resolve()
    options.take = [path.resolve() for path in options.take or ()]
    return options


def watch(options: argparse.Namespace, words: Sequence[str]) -> int:
    """Follow the programme for a while, starting it where it does not run; then pack results."""
    parts = programme(options)
    options.output.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + options.seconds
    log = options.output / "programme.log"
    with log.open("ab") as appended:
        already_told = appended.tell()
        worker = None if _is_running(options.output) else _start(words, options, appended)
    running = True
    with log.open(encoding="utf-8", errors="replace") as followed:
        followed.seek(already_told)
        while running and time.monotonic() < end:
            time.sleep(0.5)
            running = bool(worker and worker.poll() is None) or _is_running(options.output)
            print(followed.read(), end="", flush=True)
    if options.bring:
        for archive in pack(options):
            print(f"packed {archive}")
    if running:
        print("cut here: call again to go on")
        return 0
    missing = [part.name for part in parts if not part.is_done(options.output)]
    print(f"the programme has ended; not done: {', '.join(missing) or 'nothing'}")
    return 1 if missing else 0


def _start(
    words: Sequence[str], options: argparse.Namespace, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start the programme in a session of its own, which outlives this call."""
    command = [sys.executable, __file__, *words, "--configfile", str(options.configfile)]
    return subprocess.Popen(
        [*command, "--worker"],
        cwd=ROOT,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def work(options: argparse.Namespace) -> int:
    """Run every part that is not done; a part that fails is noted, and the next one is run."""
    environment = {**os.environ, "PYTHONPATH": "src", "PYTHONUNBUFFERED": "1"}
    with _locked(options.output) as lock:
        if lock is None:
            return 0  # Another caller's programme runs.
        done = {p.name for p in programme(_of_all_parts(options)) if p.is_done(options.output)}
        for part in programme(options):
            if part.name in done:
                state = "was done"
            elif set(part.needs) <= done:
                state = _run(part, options.output, environment, lock)
            else:
                state = "left out"
            print(f"== {part.name}: {state}", flush=True)
            if state == "done":
                done.add(part.name)
    return 0


def _of_all_parts(options: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "parts": None})


def _run(part: Part, folder: Path, environment: Mapping[str, str], lock: int) -> str:
    print(f"== {part.name}: starting", flush=True)
    start = time.monotonic()
    # They hold the lock too: what a dead worker leaves running is not started again.
    running = [
        subprocess.Popen(command, env=environment, pass_fds=(lock,)) for command in part.commands
    ]
    failed = [process.args for process in running if process.wait()]
    if failed:
        return f"failed: {shlex.join(failed[0])}"
    seconds = round(time.monotonic() - start, 1)
    write_json(part.record(folder), {"commands": part.words, "seconds": seconds})
    return "done"


@contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """Hold the programme's lock, and yield its descriptor; None where another holds it.

    The file holds the process's number, which is its session's too: `kill -- -NUMBER` ends all.
    """
    with (folder / "lock").open("a+") as file:
        for _ in range(20):  # A watcher that looks holds it for a moment.
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.1)
        else:
            yield None
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()
        file.truncate(0)


def _is_running(folder: Path) -> bool:
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def pack(options: argparse.Namespace) -> list[Path]:
    """Pack records, small results and weights into archives of at most `ARCHIVE_BYTES`."""
    configured = read_configuration(options.configfile)
    small = [p for p in sorted(options.output.rglob("*")) if p.is_file() and p.name != "lock"]
    wanted = {
        path: RECORDS / path.relative_to(options.output)
        for path in small
        if path.suffix not in (".npy", ".pt", ".safetensors") and not path.name.startswith(".")
    }
    for folder in (Path(t.folder) for t in trainings(configured, dataset_of(configured))):
        if (folder / "training.json").exists():
            wanted |= {folder / name: folder / name for name in RESULTS}
    options.bring.mkdir(parents=True, exist_ok=True)
    for old in options.bring.glob("results-*.tar"):
        old.unlink()
    archives: list[Path] = []
    left = 0
    for path, name in wanted.items():
        size = path.stat().st_size + 2048
        if size > left:
            archives.append(options.bring / f"results-{len(archives) + 1}.tar")
            left = ARCHIVE_BYTES
        with tarfile.open(archives[-1], "a") as archive:
            archive.add(path, name)
        left -= size
    return archives


def take(archives: Sequence[Path], configured: Mapping[str, Any]) -> None:
    """Put results in place as the workflow looks for them, after its images.

    Nothing is put in place before it was found whole, of the configuration's settings and trained
    on the images that are here; of other files only records are.

    Raises
    ------
    UserError
        When an archive cannot be read, or a training is damaged, of other settings or other images.
    """
    dataset = dataset_of(configured)
    images = Path(array_path(configured, dataset)).with_suffix(".json")
    if not images.exists():
        raise UserError(f"there is no {images}: make it first (snakemake data), it must be older")
    hashes = read_json(images)["hashes"]
    expected = {t.folder: t.settings for t in trainings(configured, dataset)}
    ROOT.joinpath("results").mkdir(exist_ok=True)
    with TemporaryDirectory(dir=ROOT / "results") as scratch:
        for path in archives:
            _extract(path, Path(scratch))
        brought = [f for f in expected if Path(scratch, f, "training.json").exists()]
        for folder in brought:
            _check(Path(scratch, folder), expected[folder], hashes)
        for folder in brought:
            _move([Path(scratch, folder, name) for name in RESULTS], Path(scratch))
            print(f"in place: {folder}")
        records = Path(scratch, RECORDS)
        _move([path for path in records.rglob("*") if path.is_file()], Path(scratch))
    if missing := sorted(f for f in expected if not Path(f, "training.json").exists()):
        raise UserError(f"{len(missing)} trainings are missing, {missing[0]} among them")


def _extract(path: Path, folder: Path) -> None:
    try:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        reason = getattr(error, "strerror", None) or "it is no whole archive"
        raise UserError(f"cannot read {path} ({reason}): bring it again") from error


def _check(folder: Path, settings: TrainingSettings, hashes: Mapping[str, Any]) -> None:
    record = read_json(folder / "training.json")
    name = "/".join(folder.parts[-4:])
    try:
        whole = record["weights"]["sha256"] == sha256(folder / "model.safetensors")
        found, data = made(TrainingSettings, record["settings"]), record["data"]["hashes"]
    except (OSError, KeyError, UserError) as error:
        raise UserError(f"{name} is not whole ({error}): bring it again") from error
    if not whole or not (folder / "history.csv").exists():
        raise UserError(f"{name} is damaged: bring it again")
    if data != hashes:
        raise UserError(f"{name} was trained on other images than those here")
    ours, theirs = asdict(settings), asdict(found)
    if other := [key for key, value in ours.items() if theirs[key] != value]:
        raise UserError(f"{name} was trained with another {other[0]} than the configuration's")


def _move(files: Sequence[Path], scratch: Path) -> None:
    for file in files:
        place = ROOT / file.relative_to(scratch)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, place)
        # The workflow takes for out of date what is older than its images.
        os.utime(place)


if __name__ == "__main__":
    sys.exit(main())
