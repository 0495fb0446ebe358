import json

import archives
import numpy as np
import pytest

from betagvae.data import dsprites
from betagvae.data.arrays import grid_classes, open_array
from betagvae.data.registry import make_dataset
from betagvae.errors import UserError
from betagvae.settings.data import DataSettings

IMAGES = 737_280
SIZES = (1, 3, 6, 40, 32, 32)


def settings(folder, source="drawn", **more):
    neutral = {"seed": 0, "threads": 1, "test_fraction": 0.1, "download_dir": folder}
    return DataSettings(source=source, **neutral | more)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The whole set, drawn once."""
    folder = tmp_path_factory.mktemp("dsprites")
    make_dataset("dsprites", folder / "dsprites.npy", settings(folder))
    return open_array(folder / "dsprites.npy")


def test_description(drawn):
    assert (len(drawn), drawn.channels, drawn.packed, drawn.stand_in) == (IMAGES, 1, True, False)
    assert drawn.splits == {"train": range(IMAGES)}
    assert drawn.factor_names == ("colour", "shape", "scale", "orientation", "posX", "posY")
    assert drawn.stored.nbytes == IMAGES * 512


def test_mean_of_all_pixels(drawn):
    # As published to 2 of 128 million set pixels: 0.0424944235.
    assert round(drawn.metadata["mean_pixel"], 10) == 0.0424944242


def test_distinct_images(drawn):
    rows = np.asarray(drawn.stored).reshape(IMAGES, 512).view("V512").ravel()
    assert len(set(rows.tolist())) == 715_706


def test_set_pixels_lie_in_rows_and_columns_2_to_61(drawn):
    anywhere = np.unpackbits(np.bitwise_or.reduce(drawn.stored, axis=0)[0], axis=-1)
    for axis in (0, 1):
        assert np.flatnonzero(anywhere.any(axis))[[0, -1]].tolist() == [2, 61]


def test_mean_areas(drawn):
    areas = np.bitwise_count(drawn.stored).reshape(3, -1).sum(axis=1, dtype=np.int64)
    assert np.round(areas / (IMAGES / 3), 1).tolist() == [218.2, 171.2, 132.8]


def test_first_and_last_orientation_are_the_same(drawn):
    by_orientation = drawn.stored.reshape(3, 6, 40, -1)
    assert np.array_equal(by_orientation[:, :, 0], by_orientation[:, :, 39])
    assert not np.array_equal(by_orientation[:, :, 0], by_orientation[:, :, 1])


def test_index_is_the_factor_grid(drawn):
    index = (((2 * 6 + 3) * 40 + 7) * 32 + 30) * 32 + 5
    assert drawn.factor_classes([index]).tolist() == [[0, 2, 3, 7, 30, 5]]


def test_largest_upright_square_pixel_by_pixel(drawn):
    # Centre at (16, 16), half side 9.6 = 2458/256 rounded: rows and columns whose centre is
    # behind 6.4 and not behind 25.6.
    square = drawn.images(5 * 40 * 32 * 32)[0]
    expected = np.zeros((64, 64), np.uint8)
    expected[6:26, 6:26] = 255
    assert np.array_equal(square, expected)


@pytest.mark.parametrize(("index", "shape"), [(0, 0), (IMAGES // 3, 1), (IMAGES - 1, 2)])
def test_pixels_agree_with_a_point_in_polygon_test(drawn, index, shape):
    """Compare with the definition of the raster, evaluated pixel by pixel."""
    rng = np.random.default_rng(index)
    for number in rng.integers(shape * IMAGES // 3, (shape + 1) * IMAGES // 3, size=20):
        assert np.array_equal(drawn.images(number)[0] > 0, _by_definition(number))


def _by_definition(number):
    _, shape, scale, orientation, pos_x, pos_y = grid_classes(number, SIZES, 0, 1)
    t = 2 * np.pi * np.arange(150 if shape == 2 else 100) / (150 if shape == 2 else 100)
    heart = (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 14.5 + 0.15
    u, v = [
        (9.6 * np.array([-1, 1, 1, -1]), 9.6 * np.array([-1, -1, 1, 1])),
        (9.6 * 1.33 * np.cos(t), 9.6 / 1.33 * np.sin(t)),
        (9.6 * np.sin(t) ** 3, -9.6 * heart),
    ][shape]
    s, angle = 0.5 + scale / 10, 2 * np.pi * orientation / 39
    x = 16 + 32 * pos_x / 31 + s * (np.cos(angle) * u + np.sin(angle) * v)
    y = 16 + 32 * pos_y / 31 + s * (-np.sin(angle) * u + np.cos(angle) * v)
    x, y = np.floor(256 * x + 0.5) / 256, np.floor(256 * y + 0.5) / 256
    inside = np.zeros((64, 64), bool)
    centre = np.arange(64) + 0.5
    for x0, y0, x1, y1 in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):
        for row in np.flatnonzero((min(y0, y1) < centre) & (centre <= max(y0, y1))):
            inside[row] ^= centre >= x0 + (x1 - x0) * (centre[row] - y0) / (y1 - y0)
    return inside


@pytest.fixture
def small(monkeypatch):
    """Shrink the grid, so that an original file is small: 96 images and their classes."""
    sizes = (1, 3, 2, 2, 2, 4)
    monkeypatch.setattr(dsprites, "FACTORS", dict(zip(dsprites.FACTORS, sizes, strict=True)))
    monkeypatch.setattr(dsprites, "IMAGES", 96)
    monkeypatch.setattr(dsprites, "_BATCH", 32)
    images = np.random.default_rng(0).integers(0, 2, (96, 64, 64), dtype=np.uint8)
    return images, grid_classes(np.arange(96), sizes, 0, 1)


def read(tmp_path, images, classes):
    path = archives.dsprites(tmp_path, images, classes)
    make_dataset("dsprites", tmp_path / "dsprites.npy", settings(tmp_path, "original", path=path))
    return open_array(tmp_path / "dsprites.npy")


def test_original_file(tmp_path, small):
    images, classes = small
    array = read(tmp_path, images, classes)
    assert np.array_equal(array.images(range(96))[:, 0], 255 * images)
    assert np.array_equal(array.factor_classes(range(96)), classes)
    assert (array.source, array.stand_in, array.packed) == ("original", False, True)
    assert json.dumps(array.metadata["hashes"]["sources"])


def test_original_file_with_faults(tmp_path, small):
    images, classes = small
    for bad in (
        (images[:95], classes),
        (images[:, :32], classes),
        (images.astype(np.int64), classes),
        (2 * images, classes),
        (images, classes[::-1]),
        (images, classes[:95]),
        (images.astype(object), classes),
    ):
        with pytest.raises(UserError, match="dsprites_ndarray"):
            read(tmp_path, *bad)
    assert not (tmp_path / "dsprites.npy").exists()


def test_file_that_is_no_npz(tmp_path, small):
    path = archives.dsprites(tmp_path, *small)
    whole = path.read_bytes()
    for content in (b"", b"<!DOCTYPE html>", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not the original dSprites file"):
            list(dsprites.read(path))
