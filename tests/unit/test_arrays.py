import hashlib
import json

import numpy as np
import pytest

from betagvae.data.arrays import ArrayWriter, open_array
from betagvae.errors import UserError

RNG = np.random.default_rng(0)
FACTORS = {"names": ["a", "b"], "sizes": [2, 3], "start": 1, "stride": 5}


def write(path, images, packed=False, splits=None, expected=0, **more):
    channels = images.shape[1]
    with ArrayWriter(path, channels=channels, packed=packed, expected=expected) as writer:
        for batch in np.array_split(images, 2):
            writer.append(batch)
        writer.finish(
            dataset="x",
            source="drawn",
            stand_in=True,
            splits=splits or {"train": (0, len(images))},
            preprocessing={},
            **more,
        )


@pytest.fixture
def images():
    return RNG.integers(0, 256, (5, 3, 64, 64), dtype=np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "x.npy"


@pytest.mark.parametrize("expected", [0, 5, 123_456])
def test_bytes_come_back(path, images, expected):
    splits = {"train": (0, 4), "test": (4, 5), "validation": (5, 5)}
    write(path, images, splits=splits, factors=FACTORS, skipped={"broken": 2}, expected=expected)
    array = open_array(path)
    assert np.array_equal(array.images([4, 0]), images[[4, 0]])
    assert (len(array), array.channels, array.packed, array.stand_in) == (5, 3, False, True)
    assert array.splits == {"train": range(4), "test": range(4, 5)}
    assert array.metadata["mean_pixel"] == pytest.approx(images.mean() / 255)
    assert array.metadata["skipped"] == {"broken": 2}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert array.metadata["hashes"]["array"]["sha256"] == digest
    assert {file.name for file in path.parent.iterdir()} == {"x.npy", "x.json"}


def test_packed_bits_come_back_as_black_and_white(path):
    bits = RNG.integers(0, 2, (5, 1, 64, 64), dtype=np.uint8)
    write(path, np.packbits(bits, axis=-1), packed=True)
    array = open_array(path)
    assert array.stored.shape == (5, 1, 64, 8)
    assert np.array_equal(array.images(range(5)), 255 * bits)
    assert array.metadata["mean_pixel"] == pytest.approx(bits.mean())


def test_factor_classes_walk_the_grid(path, images):
    write(path, images, factors=FACTORS)
    array = open_array(path)
    assert (array.factor_names, array.factor_sizes) == (("a", "b"), (2, 3))
    # Cells 1, 6 = 0, 5 of a 2×3 grid.
    assert array.factor_classes([0, 1, 2]).tolist() == [[0, 1], [0, 0], [1, 2]]
    assert array.factor_classes([0]).dtype == np.int64


def test_without_factors(path, images):
    write(path, images)
    assert open_array(path).factor_names == ()
    with pytest.raises(UserError, match="no known factors"):
        open_array(path).factor_classes([0])


@pytest.mark.parametrize("missing", [".npy", ".json"])
def test_missing_file(path, images, missing):
    write(path, images)
    path.with_suffix(missing).unlink()
    with pytest.raises(UserError, match=rf"x\{missing} is missing"):
        open_array(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": 6}, "promises uint8"),
        ({"packed": True}, "promises uint8"),
        ({"splits": {"test": [4, 6]}}, "split test"),
    ],
)
def test_array_and_json_must_agree(path, images, change, words):
    write(path, images)
    metadata = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(metadata | change))
    with pytest.raises(UserError, match=words):
        open_array(path)


def test_damaged_files(path, images):
    write(path, images)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="damaged"):
        open_array(path)
    for content, words in (("{", "damaged"), ("{}", "lacks dataset")):
        path.with_suffix(".json").write_text(content)
        with pytest.raises(UserError, match=words):
            open_array(path)


def test_nothing_unfinished_is_left(path, images):
    with pytest.raises(RuntimeError), ArrayWriter(path, channels=3) as writer:
        writer.append(images)
        raise RuntimeError
    assert list(path.parent.iterdir()) == []


def test_cut_between_the_two_files_looks_incomplete(path, images, monkeypatch):
    write(path, images)
    monkeypatch.setattr("betagvae.data.arrays.write_json", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(path, images[::-1])
    with pytest.raises(UserError, match=r"x\.json is missing"):
        open_array(path)


def test_full_disk(path, images):
    path.parent.mkdir()
    (path.parent / ".x.npy.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left on device") as error:
        write(path, images)
    assert "\n" not in str(error.value)
    assert list(path.parent.iterdir()) == []
