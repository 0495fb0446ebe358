"""Metrics, scores and image quality through one reader."""

import pytest
from run_files import write_metrics, write_quality, write_scores

from betagvae.errors import UserError
from betagvae.results.evidence import load_evidence


def test_the_kinds_are_told_apart_by_what_they_hold(tmp_path):
    paths = [
        write_quality(tmp_path, "celeba", (4, 0), 0, 61.0, 55.0),
        write_metrics(tmp_path, "celeba", (4, 0), 0, 240.0, 16.0),
        write_scores(tmp_path, "dsprites", (4, 0), 0, {"mig": 0.3}),
    ]
    metrics, quality, scores = load_evidence(paths)
    assert [one.kind for one in (metrics, quality, scores)] == ["metrics", "quality", "scores"]
    assert metrics.values_of("held_out")["reconstruction_error"] == 240.0
    assert metrics.values_of("train")["reconstruction_error"] == 250.0
    assert metrics.values_of("validation") == {}
    assert scores.values_of("") == {"mig": 0.3}
    assert quality.values_of("")["frechet_sample"] == 61.0
    assert (metrics.basis, scores.basis, quality.basis) == ("squared_error", "", "inception")


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "training.json"
    path.write_text('{"settings": {}}')
    with pytest.raises(UserError, match="give metrics, scores, quality"):
        load_evidence([path])


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text('{"scores": {"mig": 0.1}}')
    with pytest.raises(UserError, match=r"scores\.json lacks 'dataset'"):
        load_evidence([path])


@pytest.mark.parametrize(
    "changes", [{"features": "mobilenet"}, {"source": "drawn"}, {"stand_in": True}, {"steps": 5}]
)
def test_unlike_runs_of_a_data_set_are_refused(tmp_path, changes):
    paths = [
        write_quality(tmp_path, "celeba", (4, 0), 0, 61.0, 55.0),
        write_quality(tmp_path, "celeba", (4, 0), 1, 61.0, 55.0, **changes),
    ]
    with pytest.raises(UserError, match="cannot be compared"):
        load_evidence(paths)


def test_the_same_run_twice_is_refused_but_not_two_kinds_of_it(tmp_path):
    scores = write_scores(tmp_path / "one", "dsprites", (4, 0), 0, {"mig": 0.3})
    copy = write_scores(tmp_path / "two", "dsprites", (4, 0), 0, {"mig": 0.3})
    metrics = write_metrics(tmp_path, "dsprites", (4, 0), 0, 20.0, 16.0)
    assert len(load_evidence([scores, metrics])) == 2
    with pytest.raises(UserError, match="the same run"):
        load_evidence([scores, copy])
