"""What the README says of adding to the project, done in a copy, and the tiny workflow run with it.

A data set, a method, a term of the objective, a disentanglement score, a setting and a figure: each
is made in the places that the README names, and in no others.
"""

import csv
import json
import os
import subprocess
import sys

import pytest
from trees import copy_tree, snakemake

pytestmark = pytest.mark.slow

SQUARES = '''
"""Squares of every size, anywhere: drawn, and no stand-in for anything."""

from pathlib import Path

import numpy as np

from betagvae.data.dataset import Dataset
from betagvae.data.drawn import Drawn, make_drawn
from betagvae.settings.data import DataSettings

FACTORS = {"side": 4, "column": 16, "row": 16}


def draw(classes: np.ndarray) -> np.ndarray:
    """Draw factor classes N×3 as uint8 N×1×64×64."""
    images = np.zeros((len(classes), 1, 64, 64), np.uint8)
    for image, (side, column, row) in zip(images, classes, strict=True):
        image[0, 3 * row : 3 * row + 4 * side + 4, 3 * column : 3 * column + 4 * side + 4] = 255
    return images


DRAWN = Drawn(channels=1, stride=387, draw=draw)


def make(output: Path, settings: DataSettings) -> None:
    """Write the array and its JSON."""
    make_drawn(output, settings, DATASET, DRAWN)


DATASET = Dataset(
    name="squares",
    title="Squares",
    likelihood="bernoulli",
    base_index=7,
    images=1024,
    sources=("drawn",),
    stand_in=False,
    factors=FACTORS,
    make=make,
)
'''

SPREAD = '''
"""How far codes are spread, as a score with a size of its own."""

import numpy as np

from betagvae.evaluation.quantities import Quantity
from betagvae.evaluation.scores.score import Encoded, Score
from betagvae.settings.scores import ScoreSettings


def _compute(e: Encoded, g: np.random.Generator, s: ScoreSettings) -> dict[str, float]:
    rows = g.choice(len(e.means_nl), s.spread_points, replace=False)
    return {"spread": float(e.means_nl[rows].std())}


SCORE = Score("spread", _compute, {"spread": Quantity("Spread", "", 0, None)}, needs_factors=False)
'''

FIGURE = '''
"""Reconstruction error of every training, as dots."""

from collections.abc import Sequence
from pathlib import Path

from betagvae.experiment import Experiment
from betagvae.paper.pictures import empty_figure, save, tidy
from betagvae.results.runs import load_runs


def dots(experiment: Experiment, outputs: Sequence[Path]) -> None:
    """Draw one dot a training."""
    runs = load_runs(experiment)
    figure = empty_figure(4, 3)
    axes = figure.subplots()
    for name in runs.datasets:
        axes.plot([run.splits[run.held_out].reconstruction_error for run in runs.all(name)], "o")
    tidy(axes)
    save(figure, outputs)
'''

SUBCOMMAND = """
def _add_dots(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("dots", help="every training as a dot")
    add_experiment(p)
    add_outputs(p)
    p.set_defaults(command=_dots)


def _dots(experiment: Experiment, outputs: list[Path]) -> None:
    from betagvae.paper.dots import dots

    dots(experiment, outputs)


SUBCOMMANDS = (
    _add_dots,
"""

RULE = """
FIGURES.append(f"{RESULTS}/dots.png")


rule dots:
    input:
        all_files(TRAININGS, "metrics.json"),
    output:
        f"{RESULTS}/dots.png",
    log:
        f"{LOGS}/dots.log",
    params:
        experiment=EXPERIMENT.as_json(),
        code=paper_digest("paper.dots"),
    shell:
        "betagvae dots --experiment {params.experiment:q} --outputs {output:q} 2> {log:q}"
"""

CONFIGURATION = """
table1: null
datasets:
  celeba: null
  chairs3d: null
  squares: {source: drawn, data: {images: 200}, training: {steps: 4}}
methods:
  beta-VAE: null
  beta-GVAE-logit: {beta: 4, gamma: 10, reward: logit}
  centred: {beta: 0.12345678, centring: 2, weight_decay: 0.01}
  FactorVAE: {beta: 1, tc_density_ratio: 35}
  beta-TCVAE: {beta: 1, tc_weighted_sampling: 5}
scores: {spread_points: 50}
"""


def change(tree, path, *changes):
    """Replace texts of a file, each of which is there once."""
    file = tree / path
    text = file.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, (path, old)
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


def add_data_set(tree):
    (tree / "src/betagvae/data/squares.py").write_text(SQUARES, encoding="utf-8")
    change(tree, "src/betagvae/data/registry.py", ('"dsprites")', '"dsprites", "squares")'))


def add_score(tree):
    scores = "src/betagvae/evaluation/scores"
    (tree / scores / "spread.py").write_text(SPREAD, encoding="utf-8")
    line = ("_ALL = (\n", "_ALL = (\n    spread.SCORE,\n")
    change(tree, f"{scores}/registry.py", ("    sap,\n)", "    sap,\n    spread,\n)"), line)
    size = '    spread_points: int = setting("for the spread", 1000, unit="images", least=2)\n'
    seed = "    mig_points: int"
    change(tree, "src/betagvae/settings/scores.py", (seed, size + seed))


def add_term(tree):
    weight = '    centring: float = setting("weight of it", 0.0, least=0, roles=("weight",))\n'
    seed = "    seed: int = setting("
    change(tree, "src/betagvae/settings/training.py", (seed, weight + seed))
    function = (
        "def centring(encoded: Encoded) -> Tensor:\n"
        '    """Return the squared mean of the posterior, B."""\n'
        "    return encoded.mean_bl.square().sum(-1)\n\n\n"
    )
    term = 'TERMS = (\n    Term("centring", "centring", centring, "the README"),\n'
    rewards = "_REWARD = "
    change(
        tree,
        "src/betagvae/model/objective.py",
        (rewards, function + rewards),
        ("TERMS = (\n", term),
    )


def add_setting(tree):
    decay = '    weight_decay: float = setting("pull towards 0", 0.0, least=0)\n'
    seed = "    seed: int = setting("
    change(tree, "src/betagvae/settings/training.py", (seed, decay + seed))
    adam = "fused=True, capturable=cuda"
    used = f"weight_decay=self.shared.weight_decay, {adam}"
    change(tree, "src/betagvae/training/engine.py", (adam, used))


def add_figure(tree):
    (tree / "src/betagvae/paper/dots.py").write_text(FIGURE, encoding="utf-8")
    change(tree, "src/betagvae/cli/paper.py", ("\nSUBCOMMANDS = (\n", SUBCOMMAND))
    rules = tree / "workflow/rules/paper.smk"
    rules.write_text(rules.read_text(encoding="utf-8") + RULE, encoding="utf-8")


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A tree with everything added, in which the tiny workflow has run."""
    tree = copy_tree(tmp_path_factory.mktemp("additions") / "grown")
    for add in (add_data_set, add_score, add_term, add_setting, add_figure):
        add(tree)
    mine = tree / "mine.yaml"
    mine.write_text(CONFIGURATION, encoding="utf-8")
    snakemake(tree, configfiles=[mine], env=with_its_own_library(tree))
    return tree


def with_its_own_library(tree):
    return {**os.environ, "PYTHONPATH": str(tree / "src")}


def rows(tree, table):
    with (tree / "results/tiny" / f"{table}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def settings_of(tree, method):
    path = tree / "results/tiny/squares" / method / "seed0/training.json"
    return json.loads(path.read_text(encoding="utf-8"))["settings"]


def test_a_data_set_is_in_every_table_and_figure_and_stands_in_for_nothing(grown):
    results = grown / "results/tiny"
    for table in ("table2", "scores", "quality"):
        of_squares = [row for row in rows(grown, table) if row["dataset"] == "squares"]
        assert {row["data"] for row in of_squares} == {"Squares"}
        assert {row["stand_in"] for row in of_squares} == {"False"}
    assert {row["score"] for row in rows(grown, "scores") if row["dataset"] == "squares"} > {"mig"}
    assert (results / "traversals_squares.png").exists()
    log = (results / "logs/data/squares.drawn.log").read_text(encoding="utf-8")
    assert "stand in" not in log
    metadata = json.loads((grown / "data/squares.drawn.json").read_text(encoding="utf-8"))
    assert metadata["factors"]["names"] == ["side", "column", "row"]


def test_methods_are_rows_and_have_their_own_numbers(grown):
    of_table = [row for row in rows(grown, "table2") if row["dataset"] == "squares"]
    assert [row["method"] for row in of_table if row["split"] == "test"] == [
        *("VAE", "β-GVAE", "β-GVAE-logit", "centred", "FactorVAE", "β-TCVAE"),
    ]
    assert len({row["reconstruction_error_mean"] for row in of_table}) == len(of_table)
    assert settings_of(grown, "beta4_gamma10_reward-logit")["reward"] == "logit"
    assert settings_of(grown, "beta4_gamma10")["reward"] == "probability"
    page = (grown / "results/tiny/table2.md").read_text(encoding="utf-8")
    assert "reward = logit" in page
    assert "tc_density_ratio = 35" in page


def test_a_term_is_in_the_history_of_the_methods_that_have_it(grown):
    name = "beta0.12345678_gamma0_centring2_weight_decay-0.01"
    folder = grown / "results/tiny/squares"
    history = (folder / name / "seed0/history.csv").read_text(encoding="utf-8").splitlines()
    assert "centring" in history[0].split(",")
    assert settings_of(grown, name)["beta"] == 0.12345678
    other = (folder / "beta1_gamma0/seed0/history.csv").read_text(encoding="utf-8")
    assert "centring" not in other


def test_a_score_with_a_size_is_in_the_tables(grown):
    assert {row["dataset"] for row in rows(grown, "scores") if row["score"] == "spread"} == {
        *("dsprites", "squares"),
    }
    path = grown / "results/tiny/squares/beta1_gamma0/seed0/scores.json"
    assert json.loads(path.read_text(encoding="utf-8"))["settings"]["spread_points"] == 50


def test_a_setting_has_a_flag_a_bound_and_a_default(grown):
    assert settings_of(grown, "beta1_gamma0")["weight_decay"] == 0
    env = with_its_own_library(grown)
    command = [sys.executable, "-m", "betagvae", "train", "x.npy", "--trainings", "{}"]
    done = subprocess.run(
        [*command, "--weight-decay", "-1"], env=env, cwd=grown, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "-1.0 is not 0 or more" in done.stderr
    wrong = grown / "wrong.yaml"
    wrong.write_text("training: {weight_decay: -1}\n", encoding="utf-8")
    output = snakemake(grown, "--dry-run", configfiles=[wrong], env=env, check=False)
    assert "training.weight_decay: -1 is less than the minimum of 0" in output


def test_a_figure_is_made(grown):
    assert (grown / "results/tiny/dots.png").stat().st_size > 1000


def test_the_tables_of_settings_are_written_anew(grown):
    script = [sys.executable, "workflow/scripts/document.py"]
    subprocess.run(script, cwd=grown, env=with_its_own_library(grown), check=True)
    page = (grown / "config/README.md").read_text(encoding="utf-8")
    assert "| `weight_decay` |  | `0` | pull towards 0 |" in page
    assert "| `spread_points` | images | `1000` | for the spread |" in page
    assert "| `centring` |" in page
