"""The scores of a run from its files: what is looked at, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest
from image_arrays import write_array
from safetensors.numpy import save_file

from betagvae import cli
from betagvae.data.arrays import open_array
from betagvae.errors import UserError
from betagvae.evaluation.scores import LABEL_FREE, NUMBERS, ScoreSizes, compute_scores
from betagvae.evaluation.scoring import score

SIZES = ScoreSizes(
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
IDENTITY = {
    "dataset": "shapes",
    "source": "drawn",
    "stand_in": True,
    "likelihood": "bernoulli",
    "beta": 4.0,
    "gamma": 10.0,
    "seed": 3,
    "steps": 100,
}


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


def scored(files, sizes=SIZES):
    score(**files, seed=0, sizes=sizes)
    return json.loads(files["output"].read_text())


def test_scores_look_at_the_factors_of_the_encoded_images(files):
    found = scored(files)
    assert {name: found[name] for name in IDENTITY} == IDENTITY
    assert found["images"] == 140
    assert found["scores"].keys() == NUMBERS.keys()
    assert found["scores"]["mig"] > 0.8  # classes of other images would give about 0
    assert found["scores"]["factor_vae"] == 1
    assert found["settings"] == {"seed": 0, **dataclasses.asdict(SIZES)}


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
    sizes = dataclasses.replace(SIZES, mig_points=141)
    with pytest.raises(UserError, match="asks for 141 encoded images, but there are 140: raise"):
        scored(files, sizes)
    assert not files["output"].exists()


def test_files_that_do_not_belong_together_are_refused(files):
    content = json.loads(files["metrics"].read_text())
    files["metrics"].write_text(json.dumps({**content, "dataset": "other"}))
    with pytest.raises(UserError, match="is not about the images of"):
        scored(files)
    files["metrics"].write_text("{}")
    with pytest.raises(UserError, match=r"metrics\.json lacks 'dataset'"):
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


def test_command_line_takes_every_size_and_only_those(files):
    assert set(cli.stages.SIZES) == {field.name for field in dataclasses.fields(ScoreSizes)}
    words = [f"--{k.replace('_', '-')}={v}" for k, v in dataclasses.asdict(SIZES).items()]
    arguments = [str(files[name]) for name in ("data", "codes")]
    arguments += ["--metrics", str(files["metrics"]), "--output", str(files["output"])]
    assert cli.main(["scores", *arguments, "--seed", "0", *words]) == 0
    written = files["output"].read_bytes()
    scored(files)
    assert files["output"].read_bytes() == written


def test_every_number_of_every_score_is_described():
    factors = np.indices((3, 4, 12)).reshape(3, -1).T[:, :2]
    means = factors + np.random.default_rng(0).normal(size=factors.shape)
    found = compute_scores(means, means * 0, factors, (3, 4), seed=0, sizes=SIZES)
    assert list(found) == list(NUMBERS)
    free = compute_scores(means, means * 0, None, None, seed=0, sizes=SIZES, only=LABEL_FREE)
    assert list(free) == [name for name in NUMBERS if name in free]
