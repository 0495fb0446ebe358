"""Do the alternatives that speed is compared with compute what the library computes?"""

from dataclasses import replace

import choices
import pytest
import torch
from configuration import training_settings
from image_arrays import write_array

from betagvae.arrays import open_array
from betagvae.device import DeviceImages

EXCEPT_COMPILED = [a for a in choices.ALTERNATIVES if a.around is not choices.compiled]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    pixels = torch.randint(256, (192, 3, 64, 64), dtype=torch.uint8).numpy()
    path = tmp_path_factory.mktemp("images") / "toy.npy"
    array = open_array(write_array(path, pixels, splits={"train": (0, 192)}))
    return DeviceImages(array, torch.device("cpu"))


@pytest.mark.parametrize("likelihood", ["bernoulli", "squared_error"])
@pytest.mark.parametrize("alternative", EXCEPT_COMPILED, ids=lambda a: a.choice)
def test_alternatives_train_alike(images, alternative, likelihood):
    settings = training_settings("celeba", "VAE", likelihood=likelihood, threads=1)
    of_seeds = [replace(settings, seed=seed) for seed in range(alternative.seeds)]
    library = choices.in_turns(images, of_seeds)
    expected = torch.stack([library() for _ in range(3)])
    with alternative.around():
        step = alternative.build(images, of_seeds)
        found = torch.stack([step() for _ in range(3)])
    assert expected[0] != pytest.approx(expected[-1], rel=1e-3)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
