import os

import pytest
import torch

if not torch.cuda.is_available():
    # Read where kernels are defined, Triton's own too: before any test imports it.
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("this machine has no NVIDIA GPU")
