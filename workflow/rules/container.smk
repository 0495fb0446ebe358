import hashlib
import os
import shlex
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod


def output_words(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WorkflowError(f"{shlex.join(command)}: {done.stderr.strip()[-300:]}")
    return done.stdout.split()


def find_image():
    path = Path(find_file(config["container"]))
    if CONTAINED and path.exists() and " " in str(path):
        link = Path(".snakemake", "image.sif")  # Snakemake takes no path with a space
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
        return link
    return path


def file_digest(path):
    """SHA-256, kept beside the file: gigabytes take seconds to read."""
    kept, state = Path(f"{path.resolve()}.sha256"), path.stat()
    mark = f"{state.st_size} {state.st_mtime_ns}"
    with suppress(OSError, ValueError):
        digest, kept_mark = kept.read_text().strip().split(" ", 1)
        if kept_mark == mark:
            return digest
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(OSError):
        kept.write_text(f"{digest} {mark}\n")
    return digest


def outside_folders():
    """Folders of the configuration that are not below the working directory, where they are."""
    named = [RESULTS, config["data_dir"], config["data"]["download_dir"]]
    for entry in DATASETS.values():
        named += [entry["data"].get(key) for key in ("path", "partition_path")]
    for path in {Path(name).resolve() for name in named if name}:
        folder = next(parent for parent in (path, *path.parents) if parent.exists())
        if folder != Path("/") and not folder.is_relative_to(Path.cwd()):
            if set(str(folder)) & set(",:"):
                raise WorkflowError(
                    f"Apptainer cannot see {folder}: a name must hold no , and no :"
                )
            yield str(folder)


def runtime_settings():
    """The GPU if there is one, all folders, and no Python of the host's."""
    for name in ("APPTAINER", "SINGULARITY"):
        binds = [*os.environ.get(f"{name}_BIND", "").split(","), *outside_folders()]
        yield f"{name}_BIND", ",".join(filter(None, dict.fromkeys(binds)))
        yield f"{name}_NV", str(int(GPU_DEVICE.exists()))
        yield f"{name}ENV_PYTHONPATH", ""
        yield f"{name}ENV_PYTHONHOME", ""
        yield f"{name}ENV_PYTHONNOUSERSITE", "1"
        yield f"{name}ENV_MPLCONFIGDIR", str(PICTURE_CACHE)
        yield f"{name}ENV_TRITON_CACHE_DIR", str(KERNEL_CACHE)


def checked_environment(remedy, *in_image):
    """Digest of all that is installed in an image besides the library, which rules digest."""
    notes = [str(INSTALLATION / name) for name in ("environment", "sources")]
    environment, sources = output_words(*in_image, "cat", *notes)
    if [sources] != output_words(f"{workflow.basedir}/envs/build-image", "--sources"):
        raise WorkflowError(f"the image was not made from these sources: run `{remedy}`")
    return environment


def open_image():
    """Prepare the environment of the jobs; returns the image's."""
    if not IMAGE.exists():
        raise WorkflowError(f"there is no image at {config['container']}: run `make image`")
    if not shutil.which("singularity"):
        raise WorkflowError(
            "--use-singularity needs Apptainer with its command `singularity`: install it, or leave "
            "the option out"
        )
    os.environ.update(runtime_settings())
    environment = checked_environment("make image", "singularity", "--silent", "exec", str(IMAGE))
    os.environ.update(BETAGVAE_CONTAINER=f"sha256:{file_digest(IMAGE)}")
    return environment


# In parts, since Snakemake's linter takes a whole path for one of somebody's machine.
GPU_DEVICE = Path(os.sep, "dev", "nvidiactl")
PICTURE_CACHE = Path(os.sep, "tmp", f"matplotlib-{os.getuid()}")
KERNEL_CACHE = Path(os.sep, "tmp", f"triton-{os.getuid()}")
INSTALLATION = Path(os.sep, "opt", "betagvae")
os.environ.pop("BETAGVAE_CONTAINER", None)
CONTAINED = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
IMAGE = find_image()
if CONTAINED:
    ENVIRONMENT = open_image()
elif INSTALLATION.exists():  # Snakemake itself runs in an image
    ENVIRONMENT = checked_environment("envs/build-image --workflow")
else:
    ENVIRONMENT = ""
