"""The programme for a borrowed GPU, rehearsed on a processor: cut, gone on with, brought home."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trees import IMAGE, WORKFLOW, copy_tree, planned, snakemake

from betagvae.records.files import read_csv, read_json

pytestmark = pytest.mark.slow

CONFIGURATION = Path("benchmarks/rehearsal.yaml")
RUN = Path("results/rehearsal/dsprites/beta4_gamma10/seed0")
SMALLER = "seeds: [0]\n"
METHODS = ("beta1_gamma0", "beta4_gamma0", "beta4_gamma10")


def call(tree, *words):
    """Call the programme; the CPU's few kernels are interpreted, so gradients are left to units."""
    command = [sys.executable, "benchmarks/gpu.py", "--configfile", str(CONFIGURATION), *words]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def programme(tree, *words):
    rehearsal = ("--resume-seconds=1", "--precision-steps=2", "--seeds=2", f"--bring={tree}/bring")
    return call(tree, *rehearsal, *words)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """A machine that is lent and may be cut off, and the one at home."""
    folder = tmp_path_factory.mktemp("gpu")
    parts = (*WORKFLOW, *IMAGE, "benchmarks", "tests", "README.md")
    away, home = (copy_tree(folder / name, parts) for name in ("away", "home"))
    for tree in (away, home):
        path = tree / CONFIGURATION
        path.write_text(path.read_text().replace("seeds: [0, 1]\n", SMALLER))
    return away, home


def cut_while_training(tree):
    """Kill the programme with all that it started, once a training has saved its state."""
    end = time.monotonic() + 600
    while not (tree / RUN / "model.resume.pt").exists():
        assert time.monotonic() < end
        time.sleep(0.2)
    os.killpg(int((tree / "results/gpu/lock").read_text()), signal.SIGKILL)


def test_a_borrowed_gpu_s_results_are_brought_home_and_judged(trees):
    away, home = trees
    told = programme(away, "--seconds=1")
    assert "cut here: call again to go on" in told
    cut_while_training(away)
    assert not (away / RUN / "training.json").exists()

    told = programme(away, "--seconds=800")
    assert "== gradients float32: was done" in told
    assert "β = 4, γ = 10, seed 0: going on from step" in told
    assert "== trainings: done" in told
    assert "== precision bfloat16: done" in told
    assert "the programme has ended; not done: nothing" in told
    assert "== trainings: was done" in programme(away, "--parts", "trainings")

    archives = sorted((away / "bring").glob("*.tar"))
    assert all(path.stat().st_size < 16 * 2**20 for path in archives)
    snakemake(home, "data", base=[CONFIGURATION])
    told = call(home, "--take", *map(str, archives))
    for name in METHODS:
        assert f"in place: results/rehearsal/dsprites/{name}/seed0" in told
    assert "training" not in planned(home, base=[CONFIGURATION])
    snakemake(home, base=[CONFIGURATION])
    assert planned(home, base=[CONFIGURATION]) == {}
    assert read_json(home / RUN / "training.json")["settings"]["steps"] == 600

    publish = [sys.executable, "workflow/scripts/publish.py", "rehearsal"]
    subprocess.run(publish, cwd=home, check=True)
    published = home / "results/published/rehearsal"
    assert len(read_csv(published / "runs.csv")) == len(METHODS)
    assert "are not judged" in (home / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--configfile", "config/demo.yaml"), "has celeba and chairs3d and dsprites: name one"),
        (("--configfile", "config/none.yaml"), "cannot read"),
        (("--parts", "nonsense"), "no part 'nonsense': choose among gradients float32, data, "),
        (("--take", "README.md"), "bring it again"),
        (("--take", "nowhere.tar"), "bring it again"),
    ],
)
def test_what_cannot_be_done_ends_in_one_line(trees, words, said):
    _, home = trees
    command = [sys.executable, "benchmarks/gpu.py", "--configfile", str(CONFIGURATION), *words]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_results_of_other_settings_are_not_taken(trees):
    away, home = trees
    path = home / CONFIGURATION
    original = path.read_text()
    path.write_text(original.replace("steps: 600", "steps: 580"))
    before = (home / RUN / "training.json").stat().st_mtime_ns
    command = [sys.executable, "benchmarks/gpu.py", "--configfile", str(CONFIGURATION), "--take"]
    archives = sorted((away / "bring").glob("*.tar"))
    done = subprocess.run([*command, *archives], cwd=home, capture_output=True, text=True)
    path.write_text(original)
    assert done.returncode == 1
    assert done.stderr.endswith(" was trained with another steps than the configuration's\n")
    assert (home / RUN / "training.json").stat().st_mtime_ns == before


def test_damaged_weights_are_not_taken(trees):
    away, home = trees
    archive = next(path for path in sorted((away / "bring").glob("*.tar")))
    content = bytearray(archive.read_bytes())
    weights = (away / RUN / "model.safetensors").read_bytes()
    content[content.index(weights) + len(weights) // 2] ^= 1
    archive.write_bytes(content)
    command = [sys.executable, "benchmarks/gpu.py", "--configfile", str(CONFIGURATION), "--take"]
    done = subprocess.run([*command, archive], cwd=home, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("seed0 is damaged: bring it again\n")
    assert done.stderr.count("\n") == 1
    assert snakemake(home, "--dry-run", base=[CONFIGURATION]).count("Nothing to be done") == 1
