"""Metrics, scores and image quality through one reader."""

from dataclasses import asdict, replace

import pytest
from run_files import experiment, training, write_metrics, write_quality, write_scores

from betagvae.errors import UserError
from betagvae.results.evidence import load_evidence

DISTANCES = {"frechet_sample": 61.0, "frechet_reconstruction": 55.0}


@pytest.fixture
def two(tmp_path):
    return experiment(tmp_path, datasets=("celeba", "dsprites"))


def test_the_kinds_are_told_apart_and_hold_what_their_files_do(two):
    write_quality(two, "celeba", (4, 0), 0, DISTANCES)
    write_metrics(two, "celeba", (4, 0), 0, 240.0, 16.0)
    write_scores(two, "dsprites", (4, 0), 0, {"mig": 0.3})
    found = load_evidence(two)
    assert list(found) == ["metrics", "scores", "quality"]
    (metrics,), (scores,), (quality,) = (list(kind.by_folder.values()) for kind in found.values())
    assert metrics.values_of("held_out")["reconstruction_error"] == 240.0
    assert metrics.values_of("train")["reconstruction_error"] == 250.0
    assert metrics.values_of("validation") == {}
    assert scores.values_of("") == {"mig": 0.3}
    assert quality.values_of("")["frechet_sample"] == 61.0
    assert (metrics.basis, scores.basis, quality.basis) == ("squared_error", "", "inception_v3")
    assert metrics.settings == training(two, "celeba", "β-VAE", 0).settings


def test_files_may_be_missing_and_others_are_not_looked_at(two):
    path = write_metrics(two, "celeba", "VAE", 1, 240.0, 16.0)
    path.with_name("training.json").write_text('{"settings": {}}')
    found = load_evidence(two)
    assert [len(kind.by_folder) for kind in found.values()] == [1, 0, 0]
    with pytest.raises(UserError, match="no scores of CelebA with β = 1, γ = 0: train and"):
        found["scores"].of("celeba", two.methods["VAE"])


def test_a_damaged_file_is_named(two):
    path = write_scores(two, "celeba", "VAE", 0, {})
    path.write_text('{"scores": {"mig": 0.1}}')
    with pytest.raises(UserError, match=r"scores\.json lacks 'training'"):
        load_evidence(two)
    path.write_text('{"scores": ')
    with pytest.raises(UserError, match=r"cannot read .*scores\.json"):
        load_evidence(two)


def test_settings_that_this_version_does_not_have_name_the_file(two):
    settings = asdict(training(two, "celeba", "VAE", 0).settings)
    write_scores(two, "celeba", "VAE", 0, {}, training={**settings, "gama": 1})
    with pytest.raises(UserError, match=r"seed0/scores\.json: gama: there is no such"):
        load_evidence(two)


@pytest.mark.parametrize("changes", [{"source": "drawn"}, {"stand_in": True}])
def test_unlike_images_of_a_data_set_are_refused(two, changes):
    write_quality(two, "celeba", (4, 0), 0, DISTANCES)
    write_quality(two, "celeba", (4, 0), 1, DISTANCES, **changes)
    with pytest.raises(UserError, match="cannot be compared"):
        load_evidence(two)


@pytest.mark.parametrize(
    "settings", [{"steps": 5000}, {"beta": 5.0}, {"seed": 1}, {"reward": "logit"}]
)
def test_a_file_of_another_training_than_its_folder_says_is_refused(two, settings):
    own = training(two, "celeba", "β-GVAE", 0).settings
    changed = asdict(replace(own, **settings))
    write_scores(two, "celeba", "β-GVAE", 0, {"mig": 0.3}, training=changed)
    with pytest.raises(UserError, match=r"seed0/scores\.json is of another training"):
        load_evidence(two)


def test_a_file_about_another_data_set_is_refused(two):
    write_scores(two, "celeba", "VAE", 0, {"mig": 0.3}, dataset="dsprites")
    with pytest.raises(UserError, match="is of another training"):
        load_evidence(two)


def test_methods_may_differ_in_likelihood_steps_and_feature_network(tmp_path):
    rows = {"A": {"beta": 1}, "B": {"beta": 1, "likelihood": "bernoulli", "steps": 5000}}
    e = experiment(tmp_path, rows)
    write_metrics(e, "celeba", "A", 0, 240.0, 16.0)
    write_metrics(e, "celeba", "B", 0, 6500.0, 16.0)
    write_quality(e, "celeba", "A", 0, DISTANCES)
    write_quality(e, "celeba", "B", 0, DISTANCES, features="efficientnet_lite0")
    found = load_evidence(e)
    bases = [[one.basis for one in kind.by_folder.values()] for kind in found.values()]
    assert bases == [["squared_error", "bernoulli"], [], ["inception_v3", "efficientnet_lite0"]]
