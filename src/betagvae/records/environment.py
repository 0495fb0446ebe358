"""Which image or locked environment a process runs in."""

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from betagvae.errors import UserError

_PINNED = re.compile(r"^[a-z0-9][^ ]*==[^\\]*", re.MULTILINE)


def surroundings() -> dict[str, Any]:
    """Return what goes into every record: the same for equal software, wherever it runs.

    ``container`` is the digest of the Apptainer image that the workflow asked for, ``environment``
    the digest of all that is installed in an image; both are None outside. ``lock`` is the SHA-256
    of the locked requirements, and ``not_as_locked`` names the packages that differ from them.
    """
    lock = locked_requirements()
    return {
        "container": os.environ.get("BETAGVAE_CONTAINER"),
        "environment": image_environment(),
        "lock": hashlib.sha256(lock.encode()).hexdigest() if lock else None,
        "not_as_locked": differing_packages(lock),
    }


def image_environment() -> str | None:
    """Return the digest that the build of this process's image noted; None outside an image."""
    noted = Path(sys.prefix, "environment")
    return noted.read_text().strip() if noted.is_file() else None


def locked_requirements() -> str:
    """Return the lock of the image, or of the workflow outside one; empty where there is none."""
    lock = Path(sys.prefix, "job.txt")
    if not lock.is_file():
        lock = Path(os.environ.get("BETAGVAE_LOCK", ""))
    return lock.read_text(encoding="utf-8") if lock.is_file() else ""


def differing_packages(lock: str) -> list[str]:
    """Return ``name version``, or ``name missing``, of packages that are not as locked, sorted."""
    differing = []
    for requirement in map(Requirement, _PINNED.findall(lock)):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            version = "missing"
        if not requirement.specifier.contains(version, prereleases=True):
            differing.append(f"{requirement.name} {version}")
    return sorted(differing)


def check_container() -> None:
    """Raise `UserError` where a container was asked for and this process is not in one."""
    image = os.environ.get("BETAGVAE_CONTAINER")
    if image and not (os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_NAME")):
        raise UserError(
            f"this job should run in the image {image} and does not: start it through Snakemake's "
            "--use-singularity, or unset BETAGVAE_CONTAINER"
        )


def described() -> str:
    """Return one line for a log."""
    image = os.environ.get("BETAGVAE_CONTAINER") or image_environment()
    return f"running in {f'the image {image}' if image else 'no image'}, Python of {sys.prefix}"


def revision() -> str:
    """Return the commit of the source, with `-dirty` when it was changed; `unknown` without git."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
