"""Does a training that a GPU cannot do end before it begins, in one line?"""

import dataclasses

import numpy as np
import pytest
import torch
from image_arrays import write_array
from tiny_training import SETTINGS

from betagvae.data.arrays import open_array
from betagvae.errors import UserError
from betagvae.model.device import set_up
from betagvae.training import run as training
from betagvae.training.memory import check_memory, training_bytes

CUDA = torch.device("cuda")
GIB = 2**30
REAL = dataclasses.replace(
    SETTINGS, batch_size=64, discriminator_layers=6, discriminator_units=1000
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "toy.npy"
    return write_array(path, np.zeros((70, 1, 64, 64), np.uint8), splits={"train": (0, 70)})


@pytest.fixture
def card(monkeypatch):
    """Return what sets a GPU's capability and free memory."""

    def set_card(capability=(8, 6), free=24 * GIB):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda *device: "Some GPU")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *device: capability)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *device: (free, free))

    return set_card


def test_a_training_s_memory_is_counted(data):
    """By hand: 64 images of 1 channel, the network of Burgess et al. 2018, ten latents."""
    array = open_array(data)
    maps = 32 * (32**2 + 16**2 + 8**2 + 4**2)
    encoder = (16 * 32 + 32) + 3 * (32 * 16 * 32 + 32) + 512 * 256 + 256 + 256**2 + 256 + 20 * 257
    decoder = (16 * 32 + 1) + 3 * (32 * 16 * 32 + 32) + 512 * 257 + 256**2 + 256 + 256 * 11
    players = 1000 * 11 + 5 * 1000 * 1001 + 1001
    kept = 2 * 64 * 2 * (maps + 4096 + 512)
    alone = 4 * (7 * (encoder + decoder) + kept + 70 * (2 + 10))
    assert training_bytes(array, dataclasses.replace(REAL, gamma=0)) == alone
    beside = 4 * (7 * players + 2 * 64 * 2 * 6 * 1000 + 70 * 10)
    assert training_bytes(array, REAL) == alone + beside
    assert training_bytes(array, REAL) == pytest.approx(0.2 * GIB, rel=0.2)
    # A second batch's images and order, its samples and the permutation instead of the prior.
    second = 4 * (64 * 4096 + 70 * (2 + 10))
    permuted = dataclasses.replace(REAL, gamma=0, tc_density_ratio=6)
    assert training_bytes(array, permuted) == alone + beside + second


def test_trainings_that_do_not_fit_are_refused_before_they_begin(data, tmp_path, card):
    runs = [
        (dataclasses.replace(REAL, seed=seed), training.RunFiles(tmp_path / str(seed)))
        for seed in range(20)
    ]
    card(free=2 * GIB)
    with pytest.raises(UserError) as refused:
        training.train(data, runs)
    assert str(refused.value) == (
        "the GPU has 2.0 GiB of memory free, and toy with 20 trainings needs about 3.9 GiB, "
        "0.0 GiB of it for the images: lower trainings_per_job"
    )
    assert list(tmp_path.iterdir()) == []


def test_memory_that_fewer_trainings_would_not_help_is_told_apart(data, card):
    card(free=GIB // 10)
    with pytest.raises(UserError, match=r"0\.1 GiB .* 1 training needs .*: use a GPU with more"):
        check_memory(open_array(data), [REAL], CUDA)


def test_what_fits_is_trained(data, card):
    card(free=4 * GIB)
    check_memory(open_array(data), [REAL] * 20, CUDA)
    card(free=0)
    check_memory(open_array(data), [REAL] * 20, torch.device("cpu"))


@pytest.mark.parametrize(
    ("precision", "oldest"), [("float32", "7.5"), ("tf32", "7.5"), ("bfloat16", "8.0")]
)
def test_a_gpu_that_kernels_are_not_compiled_for_is_refused(card, precision, oldest):
    card(capability=(7, 0))
    with pytest.raises(UserError) as refused:
        set_up(1, precision)
    assert str(refused.value) == (
        f"the Some GPU has compute capability 7.0, and a GPU's kernels in {precision} need "
        f"{oldest} or later: use another GPU, or the processor (CUDA_VISIBLE_DEVICES=)"
    )
    for capability in ((8, 0), (12, 0)):
        card(capability=capability)
        assert set_up(1, precision) == CUDA
    card(capability=(7, 5))
    if oldest == "7.5":
        assert set_up(1, precision) == CUDA
    else:
        with pytest.raises(UserError):
            set_up(1, precision)
