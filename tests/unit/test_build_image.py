"""What envs/build-image says when it cannot build; the image itself is tested in tests/workflow."""

import shutil
import subprocess

import pytest
from trees import copy_tree

TOOLS = ("bash", "dirname", "find", "sort", "xargs", "sha256sum", "cut", "cat", "sed", "git")


@pytest.fixture
def tree(tmp_path):
    """A tree without an image, and beside it a folder of the commands that its machine has."""
    folder = copy_tree(tmp_path / "a tree")
    for file in (folder / "envs").glob("*.sif*"):
        file.unlink()
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in TOOLS:
        (commands / name).symlink_to(shutil.which(name))
    return folder


def command(tree, name, script="exit 0"):
    path = tree.parent / "bin" / name
    path.write_text(f"#!{shutil.which('bash')}\n{script}\n")
    path.chmod(0o755)


def build_image(tree, *arguments):
    return subprocess.run(
        [tree / "envs" / "build-image", *arguments],
        env={"PATH": str(tree.parent / "bin")},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_apptainer_it_says_what_to_install(tree):
    done = build_image(tree)
    assert done.returncode == 1
    assert "needs apptainer" in done.stderr
    assert "build-image --workflow" in done.stderr


def test_without_a_builder_it_says_what_to_install(tree):
    command(tree, "apptainer")
    command(tree, "docker", "exit 1")  # no daemon
    done = build_image(tree)
    assert done.returncode == 1
    assert "needs podman, buildah or a running docker" in done.stderr


def test_a_build_that_fails_leaves_no_image(tree):
    command(tree, "apptainer")
    command(tree, "podman", "echo 'no such host' >&2; exit 125")
    done = build_image(tree)
    assert done.returncode == 1
    assert "no such host" in done.stderr
    assert "podman could not build localhost/betagvae" in done.stderr
    assert not list((tree / "envs").glob("*.sif*"))


def test_the_digest_of_the_sources_sees_what_goes_into_the_image(tree):
    digests = [build_image(tree, "--sources").stdout]
    for name in (
        "src/betagvae/model/networks.py",
        "envs/job.txt",
        "pyproject.toml",
        "Containerfile",
    ):
        with (tree / name).open("a") as file:
            file.write("\n")
        digests.append(build_image(tree, "--sources").stdout)
    with (tree / "config" / "config.yaml").open("a") as file:
        file.write("\n")
    assert build_image(tree, "--sources").stdout == digests[-1]
    assert len(set(digests)) == 5
