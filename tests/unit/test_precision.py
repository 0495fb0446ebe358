"""Are loss curves in two precisions told apart when they differ, and only then?"""

import numpy as np
import precision
import pytest
from image_arrays import write_array

from betagvae.records.files import read_json

STEPS = 50


def curves(generator, shift=0.0):
    """Return five seeds' curves that fall, wander and differ, seeds × T."""
    wander_st = generator.normal(size=(5, STEPS)).cumsum(axis=1) / 10
    return 100 * np.exp(-np.arange(STEPS) / 20) + wander_st + shift


def test_curves_of_one_kind_are_told_apart_as_often_as_the_level_says():
    generator = np.random.default_rng(0)
    p_values = [precision.same_curves(curves(generator), curves(generator)) for _ in range(200)]
    assert 0.02 < np.mean(np.array(p_values) <= 0.05) < 0.09


def test_a_shift_is_found_in_a_part_of_the_steps():
    generator = np.random.default_rng(0)
    one, other = curves(generator), curves(generator)
    other[:, :10] += 20
    assert precision.same_curves(one, other) == pytest.approx(1 / 126)
    assert precision.same_curves(other, one) == pytest.approx(1 / 126)


def test_the_difference_at_the_end_is_paired_by_seed():
    """Seeds lie far apart, but each is 1 % worse: the interval of pairs is narrow."""
    exact = np.array([100.0, 200, 400, 800, 1600])[:, None].repeat(8, axis=1)
    other = exact * 1.01
    other[:, :6] = 0  # only the last quarter counts
    (found,) = precision.comparisons({"kl": exact}, {"kl": other})
    assert found.difference == pytest.approx((0.01, 0.01, 0.01))
    assert found.exact == 620
    assert found.spread == pytest.approx(exact[:, 0].std(ddof=1) / 620)
    assert not found.indistinguishable


def test_what_differs_by_chance_alone_is_indistinguishable():
    exact = np.array([100.0, 101, 102, 103, 104])[:, None].repeat(8, axis=1)
    (found,) = precision.comparisons({"kl": exact}, {"kl": exact[::-1].copy()})
    assert found.indistinguishable


def test_trainings_are_compared_and_not_repeated(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (70, 1, 64, 64), dtype=np.uint8)
    array = write_array(tmp_path / "toy.npy", images, splits={"train": (0, 70)}, dataset="dsprites")
    words = ["dsprites", "--method=VAE", f"--array={array}", f"--output={tmp_path}", "--seeds=2"]
    words += ["--steps=4", "--log-every=2", "--processes=1"]
    assert precision.main(words) == 0
    folder = tmp_path / "dsprites_VAE"
    record = read_json(folder / "bfloat16.json")
    assert [c["quantity"] for c in record["comparisons"]] == ["reconstruction_error", "kl"]
    assert all(0 < abs(c["difference"][0]) < 0.05 for c in record["comparisons"])
    assert "indistinguishable" in capsys.readouterr().out
    assert (folder / "bfloat16.png").stat().st_size > 10_000
    assert len((folder / "bfloat16.csv").read_text().splitlines()) == 1 + 2 * 2 * 2
    trained = read_json(folder / "bfloat16" / "seed1" / "training.json")["settings"]
    assert (trained["precision"], trained["seed"]) == ("bfloat16", 1)

    model = folder / "bfloat16" / "seed1" / "model.safetensors"
    before = model.stat().st_mtime_ns
    assert precision.main(words) == 0
    assert model.stat().st_mtime_ns == before
    assert precision.main([*words, "--learning-rate=1e-3"]) == 0
    assert model.stat().st_mtime_ns > before
    before = model.stat().st_mtime_ns
    write_array(array, 255 - images, splits={"train": (0, 70)}, dataset="dsprites")
    assert precision.main([*words, "--learning-rate=1e-3"]) == 0
    assert model.stat().st_mtime_ns > before


def test_the_array_of_another_data_set_is_refused(tmp_path, capsys):
    images = np.zeros((1, 1, 64, 64), dtype=np.uint8)
    array = write_array(tmp_path / "toy.npy", images, splits={"train": (0, 1)})
    assert precision.main(["dsprites", f"--array={array}", f"--output={tmp_path}"]) == 1
    assert "holds toy: give the array of dsprites" in capsys.readouterr().err
