"""The scores of a run from its files: what is looked at, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest
from image_arrays import write_array
from safetensors.numpy import save_file
from score_settings import for_few

from betagvae import cli
from betagvae.data.arrays import open_array
from betagvae.errors import UserError
from betagvae.evaluation.scores.registry import LABEL_FREE, NUMBERS, compute_scores
from betagvae.evaluation.scoring import score
from betagvae.records.identity import identity
from betagvae.settings.scores import ScoreSettings
from betagvae.settings.setting import declared
from betagvae.settings.training import TrainingSettings

SETTINGS = for_few(
    120,
    seed=3,
    mig_points=120,
    train_points=80,
    test_points=40,
    dci_trees=2,
    train_votes=50,
    evaluation_votes=20,
    infomec_points=100,
    correlation_samples=20,
    correlation_subset=50,
)
FACTORS = {"names": ["shape", "size"], "sizes": [3, 4], "start": 5, "stride": 7}
IDENTITY = json.loads(
    json.dumps(
        identity(
            {"dataset": "shapes", "source": "drawn", "stand_in": True},
            dataclasses.asdict(TrainingSettings(beta=4, gamma=10, seed=3, likelihood="bernoulli")),
        )
    )
)
"""As JSON has it, with lists for tuples."""


def write_shapes(path, factors):
    images = np.zeros((200, 1, 64, 64), np.uint8)
    return write_array(path, images, splits={"train": (0, 200)}, dataset="shapes", factors=factors)


@pytest.fixture
def files(tmp_path):
    """A run whose codes hold the factors of every image from 60 on, in another order."""
    array = write_shapes(tmp_path / "shapes.npy", FACTORS)
    indices = np.random.default_rng(0).permutation(np.arange(60, 200))
    classes = open_array(array).factor_classes(indices).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=(140, 1)).astype(np.float32)
    means = np.hstack([classes, 0.01 * noise])
    codes = tmp_path / "codes.safetensors"
    save_file({"indices": indices, "mean": means, "log_variance": np.full_like(means, -4)}, codes)
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({**IDENTITY, "splits": {}}))
    return {"data": array, "codes": codes, "metrics": metrics, "output": tmp_path / "scores.json"}


def scored(files, settings=SETTINGS):
    score(**files, settings=settings)
    return json.loads(files["output"].read_text())


def test_scores_look_at_the_factors_of_the_encoded_images(files):
    found = scored(files)
    assert {name: found[name] for name in IDENTITY} == IDENTITY
    assert found["images"] == 140
    assert found["scores"].keys() == NUMBERS.keys()
    assert found["scores"]["mig"] > 0.8  # classes of other images would give about 0
    assert found["scores"]["factor_vae"] == 1
    assert found["settings"] == dataclasses.asdict(SETTINGS)


def test_unknown_factors_leave_the_label_free_scores(files):
    write_shapes(files["data"], None)
    names = {"active_units", "total_correlation", "total_correlation_gaussian"}
    assert scored(files)["scores"].keys() == names


def test_same_files_same_bytes(files):
    scored(files)
    first = files["output"].read_bytes()
    scored(files)
    assert files["output"].read_bytes() == first


def test_too_few_encoded_images_say_what_to_do(files):
    settings = dataclasses.replace(SETTINGS, mig_points=141)
    with pytest.raises(UserError, match="asks for 141 encoded images, but there are 140: raise"):
        scored(files, settings)
    assert not files["output"].exists()


def test_files_that_do_not_belong_together_are_refused(files):
    content = json.loads(files["metrics"].read_text())
    files["metrics"].write_text(json.dumps({**content, "dataset": "other"}))
    with pytest.raises(UserError, match="is not about the images of"):
        scored(files)
    files["metrics"].write_text("{}")
    with pytest.raises(UserError, match=r"metrics\.json lacks 'training'"):
        scored(files)


@pytest.mark.parametrize("indices", [np.arange(61, 201), np.full(140, 5), np.arange(100)])
def test_codes_of_other_images_are_refused(files, indices):
    means = np.zeros((140, 2), np.float32)
    tensors = {"indices": indices, "mean": means, "log_variance": means}
    save_file(tensors, files["codes"])
    with pytest.raises(UserError, match="is not about 200 images: evaluate"):
        scored(files)


def test_damaged_codes_are_named(files):
    files["codes"].write_bytes(b"not safetensors")
    with pytest.raises(UserError, match=r"cannot read .*codes\.safetensors"):
        scored(files)


def test_command_line_takes_every_setting_and_only_those(files, capsys):
    words = [f"{d.flag}={getattr(SETTINGS, name)}" for name, d in declared(ScoreSettings).items()]
    arguments = [str(files[name]) for name in ("data", "codes")]
    arguments += ["--metrics", str(files["metrics"]), "--output", str(files["output"])]
    assert cli.main(["scores", *arguments, *words]) == 0
    written = files["output"].read_bytes()
    scored(files)
    assert files["output"].read_bytes() == written
    with pytest.raises(SystemExit):
        cli.main(["scores", *arguments, *words, "--mig-pionts=3"])
    assert "unrecognized arguments: --mig-pionts=3" in capsys.readouterr().err


def test_left_out_settings_are_the_defaults(files):
    arguments = [str(files["data"]), str(files["codes"]), "--metrics", str(files["metrics"])]
    words = [
        f"{d.flag}={getattr(SETTINGS, name)}"
        for name, d in declared(ScoreSettings).items()
        if name not in ("seed", "bins")
    ]
    assert cli.main(["scores", *arguments, "--output", str(files["output"]), *words]) == 0
    found = json.loads(files["output"].read_text())["settings"]
    assert (found["seed"], found["bins"]) == (ScoreSettings().seed, ScoreSettings().bins)


def test_every_number_of_every_score_is_described():
    factors = np.indices((3, 4, 12)).reshape(3, -1).T[:, :2]
    means = factors + np.random.default_rng(0).normal(size=factors.shape)
    found = compute_scores(means, means * 0, factors, (3, 4), SETTINGS)
    assert list(found) == list(NUMBERS)
    free = compute_scores(means, means * 0, None, None, SETTINGS, only=LABEL_FREE)
    assert list(free) == [name for name in NUMBERS if name in free]
