"""Settings of the workflow itself, which no result depends on."""

from dataclasses import dataclass
from pathlib import Path

from betagvae.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class WorkflowSettings:
    """Keys of the configuration that belong to no section."""

    container: Path = setting(
        "image that jobs run in under `--use-singularity`, looked for in the working directory and "
        "beside the Snakefile; `make image` makes it. Without that flag it is not used",
        Path("envs/betagvae.sif"),
        unit="path",
    )
    claims: Path = setting(
        "the paper's claims and the tests that decide them; its keys are below. Looked for "
        "likewise",
        Path("config/claims.yaml"),
        unit="path",
    )
    trainings_per_job: int | None = setting(
        "trainings of one data set that run side by side in one job; more about it below. `null`: "
        "up to fifty where the workflow starts on a machine with an NVIDIA GPU, one elsewhere",
        None,
        unit="trainings",
        least=1,
    )


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one job asks of a scheduler."""

    gpu: int | None = setting("cards", None, least=0)
    mem_mb: int = setting("memory", 4000, unit="MB", least=1)
    runtime: int = setting("at most", 30, unit="minutes", least=1)


RESOURCES = {
    "data": {"runtime": 240},
    "train": {"gpu": 1, "mem_mb": 8000, "runtime": 1440},
    "evaluate": {"gpu": 1, "mem_mb": 8000, "runtime": 60},
    "scores": {},
    "paper": {},
}
"""Stage to what its jobs ask for where that is not the default of `Resources`."""
