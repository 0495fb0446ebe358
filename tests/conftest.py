import os

import pytest
import torch

GPU = torch.cuda.is_available()

if not GPU:
    # Read where kernels are defined, Triton's own too: before any test imports it.
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Hide the GPU, if there is one, from every test that is not marked to use it."""
    marked = item.get_closest_marker("gpu") or item.get_closest_marker("any_device")
    with pytest.MonkeyPatch.context() as patch:
        if GPU and not marked:
            patch.setattr(torch.cuda, "is_available", lambda: False)
            patch.setenv("CUDA_VISIBLE_DEVICES", "")  # of the processes that it starts
        return (yield)


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not GPU:
        pytest.skip("this machine has no NVIDIA GPU")
