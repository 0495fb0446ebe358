import sys

import pytest

from betagvae import cli
from betagvae.errors import UserError
from betagvae.records import environment as surroundings

LOCK = """\
torch==2.14.1 ; sys_platform == 'linux' \\
    --hash=sha256:00
    # via betagvae
numpy==1.0 \\
    --hash=sha256:01
pywin32==300 ; sys_platform == 'win32' \\
    --hash=sha256:02
a-package-that-is-not-here==1.0 \\
    --hash=sha256:03
"""


def test_packages_that_differ_from_the_lock_are_named(monkeypatch):
    versions = {"torch": "2.14.1", "numpy": "2.0"}

    def version(name):
        if name not in versions:
            raise surroundings.importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(surroundings.importlib.metadata, "version", version)
    assert surroundings.differing_packages(LOCK) == [
        "a-package-that-is-not-here missing",
        "numpy 2.0",
    ]


def test_this_environment_is_as_locked(request):
    lock = request.config.rootpath / "envs" / "job.txt"
    assert surroundings.differing_packages(lock.read_text()) == []


def test_an_image_is_known_by_what_its_build_noted(monkeypatch, tmp_path):
    (tmp_path / "environment").write_text("abc\n")
    (tmp_path / "job.txt").write_text("")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("BETAGVAE_CONTAINER", "sha256:def")
    known = surroundings.surroundings()
    assert known["environment"] == "abc"
    assert known["container"] == "sha256:def"


@pytest.mark.parametrize("variable", ["APPTAINER_CONTAINER", "SINGULARITY_NAME"])
def test_a_job_that_asked_for_a_container_must_be_in_one(monkeypatch, capsys, variable):
    for name in ("APPTAINER_CONTAINER", "SINGULARITY_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BETAGVAE_CONTAINER", "sha256:abc")
    with pytest.raises(UserError):
        surroundings.check_container()
    words = ["data", "dsprites", "--source", "drawn", "--output", "unused.npy"]
    assert cli.main(words) == 1
    assert "should run in the image sha256:abc and does not" in capsys.readouterr().err
    monkeypatch.setenv(variable, "/betagvae.sif")
    surroundings.check_container()
