"""Do the kernels fit onto GPUs that are not at hand? Triton compiles for any."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from betagvae.model import kernels
from betagvae.model.device import PRECISIONS

pytestmark = pytest.mark.slow

SHARED = {80: 166_912, 86: 101_376, 89: 101_376, 90: 232_448, 120: 101_376}
"""Most bytes of shared memory that a block can have, by compute capability: CUDA C++ Programming
Guide, table of technical specifications. 80 is an A100, 86 the paper's RTX 3090, 89 an RTX 4090,
90 an H100, 120 an RTX 5090."""
SCRIPT = Path(__file__).parents[1] / "compile_kernels.py"


@pytest.fixture(scope="module")
def compiled():
    """Return the kernels of every architecture and precision; the most work comes first."""
    names = [f"{architecture}:{precision}" for precision in PRECISIONS for architecture in SHARED]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, SCRIPT, *names], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def launched():
    """Return the names of the kernels that the project launches."""
    folder = Path(kernels.__file__).parent
    sources = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    return set(re.findall(r"^    (_\w+)\[", sources, re.MULTILINE))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("architecture", SHARED)
def test_every_kernel_fits(compiled, architecture, precision):
    """Into shared memory and registers: what is spilled costs a way through memory."""
    found = compiled[f"{architecture}:{precision}"]
    assert {kernel["kernel"] for kernel in found} == launched()
    assert [kernel for kernel in found if kernel["shared"] > SHARED[architecture]] == []
    assert [kernel for kernel in found if kernel["spilled"]] == []
