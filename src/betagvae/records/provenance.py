"""Where, from what and with what a result was made."""

import importlib.metadata
import os
import platform
import resource
from pathlib import Path
from typing import Any

import torch

from betagvae import __version__
from betagvae.records.environment import revision, surroundings

PACKAGES = ("numpy", "torch", "torchvision", "safetensors")
GPU_PACKAGES = ("triton",)


def provenance(device: torch.device) -> dict[str, Any]:
    """Return the commit, software, hardware and peak memory of this process."""
    return {
        "revision": os.environ.get("BETAGVAE_REVISION") or revision(),
        **surroundings(),
        "python": platform.python_version(),
        "packages": packages(device),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peak_gpu_memory_mb": (
            torch.cuda.max_memory_allocated(device) // 2**20 if device.type == "cuda" else 0
        ),
    }


def packages(device: torch.device) -> dict[str, str]:
    """Return the versions of the packages that results on a device depend on."""
    names = (*PACKAGES, *(GPU_PACKAGES if device.type == "cuda" else ()))
    return {"betagvae": __version__, **{name: importlib.metadata.version(name) for name in names}}


def device_name(device: torch.device) -> str:
    """Return the GPU's or the processor's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{names[0] if names else platform.machine()} ({len(names)} cores, {capability})"
