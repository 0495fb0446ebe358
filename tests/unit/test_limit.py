"""Are the pieces of a step all of it, and is their sum set beside the whole?"""

import limit
import numpy as np
import pytest
import torch
from image_arrays import write_array
from tiny_training import SETTINGS

from betagvae.data.arrays import open_array
from betagvae.model.device import DeviceImages
from betagvae.model.networks import VariationalAutoencoder
from betagvae.training.engine import Engine


@pytest.fixture
def engine(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 64, 64), dtype=np.uint8)
    path = write_array(tmp_path / "toy.npy", images, splits={"train": (0, 12)})
    return Engine(DeviceImages(open_array(path), torch.device("cpu")), [SETTINGS])


def test_every_layer_with_weights_is_a_piece(engine):
    found = limit.pieces(engine, SETTINGS)
    forward = [piece for piece in found if piece.kind == "forward"]
    model = VariationalAutoencoder(SETTINGS.network, 1, SETTINGS.latents)
    assert len(forward) == len([p for p in model.parameters() if p.dim() == 1])
    assert [p.kind for p in found].count("gradients") == len(forward)
    assert [p.name for p in found if p.kind == "other"] == [
        "batch",
        "likelihood and its gradient",
        "Adam",
    ]
    shapes = [piece.work().shape for piece in forward]
    assert shapes[-1] == (SETTINGS.batch_size, 1, 64, 64)


def test_the_sum_stands_beside_the_step(engine):
    found = limit.measure(engine, SETTINGS, rounds=2)
    assert {len(taken) for taken in found.values()} == {2}
    text = limit.page(found, SETTINGS, "dsprites", threads=1, rounds=2)
    medians = {key: 1e3 * np.median(taken) for key, taken in found.items()}
    step = medians.pop(("whole step", "step"))
    assert f"**{sum(medians.values()):.2f}**" in text
    assert f"**{step:.2f}**" in text
    assert len(limit.rounds_of(found)) == 2 * (len(medians) + 1)
