import dataclasses
import hashlib
import importlib
import io
import itertools
import json
import math
import struct
import subprocess
import sys
import zipfile
import zlib

import archives
import loopback
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import betagvae.data
from betagvae.bench.running import draw
from betagvae.data import celeba, chairs3d, reading, registry
from betagvae.data.arrays import grid_classes, open_array
from betagvae.data.decoding import SkipError
from betagvae.data.published import Published
from betagvae.data.registry import DATASETS, dataset, make_dataset
from betagvae.errors import UserError
from betagvae.settings.data import DataSettings
from betagvae.settings.setting import declared
from betagvae.settings.training import TrainingSettings

MODULES = {name: importlib.import_module(f"betagvae.data.{name}") for name in DATASETS}
WITH_FACTORS = [name for name, module in MODULES.items() if hasattr(module, "DRAWN")]
by_name = pytest.mark.parametrize("name", DATASETS)
by_drawn = pytest.mark.parametrize("name", WITH_FACTORS)

SQUARES = '''
"""Squares of known place and grey, published nowhere."""

import numpy as np

from betagvae.data.dataset import Dataset
from betagvae.data.drawn import Drawn, make_drawn

def draw(classes):
    images = np.zeros((len(classes), 1, 64, 64), np.uint8)
    for image, (x, y, grey) in zip(images, classes, strict=True):
        image[0, 20 * y : 20 * y + 9, 16 * x : 16 * x + 9] = 50 * (grey + 1)
    return images


DRAWN = Drawn(channels=1, stride=7, draw=draw)


def make(output, settings):
    make_drawn(output, settings, DATASET, DRAWN)


DATASET = Dataset(
    name="squares",
    title="Squares",
    likelihood="squared_error",
    base_index=0,
    images=60,
    sources=("drawn",),
    stand_in=False,
    factors={"x": 4, "y": 3, "grey": 5},
    make=make,
)
'''
"""All that a data set is made of, besides one word in the registry."""


@pytest.fixture
def make(tmp_path):
    """Make a data set in a temporary folder and open it."""

    def make(name, source, **settings):
        defaults = {"seed": 0, "threads": 2, "test_fraction": 0.25, "download_dir": tmp_path / "d"}
        output = tmp_path / "data" / f"{name}.npy"
        make_dataset(name, output, DataSettings(source=source, **defaults | settings))
        array = open_array(output)
        digest = hashlib.sha256(output.read_bytes()).hexdigest()
        assert array.metadata["hashes"]["array"]["sha256"] == digest
        return array

    return make


@pytest.fixture
def squares(tmp_path, monkeypatch):
    """A data set in a module of its own, named in the registry."""
    (tmp_path / "squares.py").write_text(SQUARES)
    monkeypatch.setattr(betagvae.data, "__path__", [*betagvae.data.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "DATASETS", (*DATASETS, "squares"))
    yield "squares"
    del sys.modules["betagvae.data.squares"], betagvae.data.squares  # every test's is its own


# What data sets declare


def in_a_fresh_interpreter(script):
    """Return the words that a script prints."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_registry_imports_no_data_set():
    script = (
        "import sys; from betagvae.data.registry import DATASETS;"
        "print(*[n for n in DATASETS if f'betagvae.data.{n}' in sys.modules])"
    )
    assert in_a_fresh_interpreter(script) == []


def test_declarations_are_read_without_what_makes_images():
    script = (
        "import sys, time; from betagvae.data.registry import DATASETS, dataset;"
        "assert all(dataset(name).title for name in DATASETS);"
        "print(time.process_time(), *sys.modules)"
    )
    seconds, *modules = in_a_fresh_interpreter(script)
    assert {"torch", "torchvision", "requests", "PIL", "kornia_rs", "tqdm"}.isdisjoint(modules)
    assert float(seconds) < 1  # PyTorch alone takes more


@by_name
def test_every_data_set_says_what_it_is(name):
    found = dataset(name)
    assert found.name == name
    assert found.title
    assert found.likelihood in declared(TrainingSettings)["likelihood"].about.choices
    assert found.images > 0
    assert 0 <= found.base_index < found.images
    assert found.sources
    assert set(found.sources) <= set(declared(DataSettings)["source"].about.choices)
    assert found.drawn_images <= found.images
    assert not (found.stand_in and "original" not in found.sources)
    assert all(size > 0 for size in found.factors.values())


@pytest.mark.parametrize("name", ["mnist", "registry", ""])
def test_unknown_data_sets_are_refused(make, name):
    known = f"choose one of {', '.join(DATASETS)}$"
    with pytest.raises(UserError, match=known):
        dataset(name)
    with pytest.raises(UserError, match=known):
        make(name, "drawn")


def test_a_source_that_a_data_set_lacks_is_refused(make, squares):
    with pytest.raises(UserError, match="choose original or drawn"):
        make("celeba", "dreamt")
    with pytest.raises(UserError, match="no source 'original' for squares: choose drawn"):
        make(squares, "original")


def test_a_drawn_data_set_that_stands_in_for_nothing(make, squares, caplog):
    array = make(squares, "drawn", seed=3)
    assert not caplog.records
    assert not array.stand_in
    assert array.splits == {"train": range(45), "test": range(45, 60)}
    assert dict(zip(array.factor_names, array.factor_sizes, strict=True)) == {
        "x": 4,
        "y": 3,
        "grey": 5,
    }
    classes = array.factor_classes(range(60))
    assert len(np.unique(classes, axis=0)) == 60
    for (x, y, grey), image in zip(classes, array.images(range(60))[:, 0], strict=True):
        rows, columns = np.nonzero(image)
        assert (rows.min(), columns.min(), image.max()) == (20 * y, 16 * x, 50 * (grey + 1))


def test_a_drawn_data_set_with_nothing_held_out(make, squares):
    assert make(squares, "drawn", test_fraction=0).splits == {"train": range(60)}


def test_the_benchmark_draws_no_more_than_there_is(tmp_path, squares):
    assert len(open_array(draw(squares, tmp_path, 1))) == 60
    assert len(open_array(draw(squares, tmp_path, 1, 20))) == 20


def test_the_benchmark_says_what_it_cannot_draw(tmp_path, squares):
    only_published = dataclasses.replace(dataset(squares), sources=("original",))
    sys.modules["betagvae.data.squares"].DATASET = only_published
    with pytest.raises(UserError, match="squares cannot be drawn"):
        draw(squares, tmp_path, 1)


# Drawn images


@by_drawn
def test_drawn_images_say_what_they_are_and_repeat(make, name, caplog):
    found = dataset(name)
    images = min(100, found.drawn_images)
    array = make(name, "drawn", images=images)
    assert array.stand_in == found.stand_in
    assert ("stand in for the real ones" in caplog.text) == found.stand_in
    assert array.source == "drawn"
    trained = images - round(images / 4)
    assert array.splits == {"train": range(trained), "test": range(trained, images)}
    assert array.factor_names == tuple(found.factors)
    assert array.factor_sizes == tuple(found.factors.values())
    again = make(name, "drawn", images=images, threads=1)
    assert again.metadata == array.metadata
    other = make(name, "drawn", images=images, seed=1)
    assert other.metadata["hashes"] != array.metadata["hashes"]


@by_drawn
def test_drawn_images_differ(make, name):
    images = min(400, dataset(name).drawn_images)
    array = make(name, "drawn", images=images)
    pixels = array.images(np.arange(images)).reshape(images, -1)
    assert len(np.unique(pixels, axis=0)) == images
    # As many as asked for are different combinations, however many are asked for.
    combinations = math.prod(dataset(name).factors.values())
    assert math.gcd(MODULES[name].DRAWN.stride, combinations) == 1


@by_drawn
def test_drawn_images_follow_from_their_factors(make, name):
    images = min(64, dataset(name).drawn_images)
    array = make(name, "drawn", images=images)
    some = [3, images // 2, images - 1]
    assert np.array_equal(MODULES[name].DRAWN.draw(array.factor_classes(some)), array.images(some))


@by_drawn
def test_every_factor_shows(name):
    sizes = list(dataset(name).factors.values())
    middle = np.array([size // 2 for size in sizes])
    for factor, size in enumerate(sizes):
        classes = np.tile(middle, (size, 1))
        classes[:, factor] = range(size)
        images = MODULES[name].DRAWN.draw(classes).reshape(size, -1)
        assert len(np.unique(images, axis=0)) == size


@by_drawn
@pytest.mark.parametrize("images", [1000, 5000, 20_000])
@pytest.mark.parametrize("start", [0, 12_345, 40_000])
def test_drawn_factors_are_even_and_independent(name, images, start):
    sizes = tuple(dataset(name).factors.values())
    images = min(images, dataset(name).drawn_images)
    classes = grid_classes(np.arange(images), sizes, start, MODULES[name].DRAWN.stride)
    for part in (classes, classes[-images // 10 :]):
        correlation = np.corrcoef(part.T) - np.eye(len(sizes))
        # 2.2/√n is the median of this maximum when the classes are drawn at random.
        assert np.abs(correlation).max() < 2.2 / math.sqrt(len(part))
        for a, b in itertools.combinations(range(len(sizes)), 2):
            expected = len(part) / (sizes[a] * sizes[b])
            joint = np.bincount(part[:, a] * sizes[b] + part[:, b], minlength=sizes[a] * sizes[b])
            # 1 on average when the classes are drawn at random.
            chi_squared = ((joint - expected) ** 2 / expected).sum() / (joint.size - 1)
            assert chi_squared < 1


def test_more_drawn_images_than_combinations_are_refused(make):
    with pytest.raises(UserError, match=r"datasets\.chairs3d\.data\.images"):
        make("chairs3d", "drawn", images=1_000_000)


def test_chairs_stay_inside_the_image():
    largest = [
        [size - 1] if name == "size" else range(size)
        for name, size in chairs3d.DATASET.factors.items()
    ]
    classes = np.array(list(itertools.product(*largest)))[::7]
    images = chairs3d.DRAWN.draw(classes)[:, 0]
    assert (images[:, [0, -1]] == 255).all()
    assert (images[:, :, [0, -1]] == 255).all()


# CelebA


def pil(data, crop=None, mode="RGB"):
    """Decode, crop and resize with Pillow, C×64×64."""
    image = Image.open(data).convert(mode).crop(crop) if crop else Image.open(data).convert(mode)
    pixels = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)).astype(int)
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]


@pytest.mark.parametrize("crop", [None, (15, 40, 163, 188)])
@pytest.mark.parametrize("batch", [2, 256])
def test_celeba_from_own_zip(make, tmp_path, monkeypatch, crop, batch):
    monkeypatch.setattr(reading, "_BATCH", batch)  # several batches are spread over processes
    path, partition = archives.celeba(tmp_path, splits="0201102")
    array = make("celeba", "original", path=path, partition_path=partition, crop=crop)
    assert array.splits == {"train": range(3), "validation": range(3, 5), "test": range(5, 7)}
    assert (array.source, array.stand_in, array.factor_names) == ("original", False, ())
    order = [1, 3, 6, 4, 5, 2, 7]  # train, validation, test, each in the order of the file
    with zipfile.ZipFile(path) as content:
        for image, number in zip(array.images(range(7)), order, strict=True):
            with content.open(f"img_align_celeba/{number:06}.jpg") as file:
                assert np.abs(image - pil(file, crop)).max() <= 1
    assert array.metadata["preprocessing"]["crop"] == (list(crop) if crop else None)
    record = array.metadata["hashes"]["sources"]["img_align_celeba.zip"]
    assert record["bytes"] == path.stat().st_size
    assert not record["as_published"]
    assert not any(array.metadata["skipped"].values())


def test_celeba_with_faults(make, tmp_path, caplog):
    good = archives.jpeg(1)
    faults = {
        "000002.jpg": good[: len(good) // 2],  # cut short
        "000003.jpg": b"<html>quota</html>",
        "000004.jpg": archives.png(4, (178, 218)),
        "000005.jpg": None,
        "000006.jpg": archives.jpeg(6, (64, 64)),
        "000007.jpg": b"",
        "000099.jpg": good,
        "README.txt": b"hello",
    }
    path, partition = archives.celeba(tmp_path, "00000000112", faults)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as content:
        entry = content.getinfo("img_align_celeba/000008.jpg")
    data[entry.header_offset + 300] ^= 255  # its checksum no longer holds
    path.write_bytes(data)
    array = make("celeba", "original", path=path, partition_path=partition)
    assert array.metadata["skipped"] == {
        "broken JPEG": 4,
        "damaged in the archive": 1,
        "missing from the archive": 1,
        "no JPEG by its name": 1,
        "not 178×218 pixels": 1,
        "not in the partition file": 1,
    }
    assert array.splits == {"train": range(1), "validation": range(1, 3), "test": range(3, 4)}
    assert "gave 4 images, not the published 202599" in caplog.text


def test_compressed_entries_of_a_zip(make, tmp_path):
    path, partition = archives.celeba(tmp_path)
    expected = make("celeba", "original", path=path, partition_path=partition).images(range(7))
    with zipfile.ZipFile(path) as content:
        entries = {name: content.read(name) for name in content.namelist()[1:]}
    with zipfile.ZipFile(path, "w") as content:
        for name, data in entries.items():
            last = name == max(entries)
            content.writestr(name, data, zipfile.ZIP_BZIP2 if last else zipfile.ZIP_DEFLATED)
    array = make("celeba", "original", path=path, partition_path=partition)
    assert np.array_equal(array.images(range(6)), expected[:6])
    assert array.metadata["skipped"]["damaged in the archive"] == 1


@pytest.mark.parametrize("name", ["celeba", "chairs3d"])
def test_originals_are_the_same_for_any_number_of_processes(make, tmp_path, monkeypatch, name):
    monkeypatch.setattr(reading, "_BATCH", 2)
    path, partition = (
        archives.celeba(tmp_path) if name == "celeba" else (archives.chairs(tmp_path), None)
    )
    digests = {
        make(name, "original", path=path, partition_path=partition, threads=threads).metadata[
            "hashes"
        ]["array"]["sha256"]
        for threads in (1, 2, 3)
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    "line", ["000009.jpg", "000009.jpg 3", "000001.jpg 0", "<!DOCTYPE html><title>Sign in", "ü 0"]
)
def test_celeba_with_a_bad_partition_file(make, tmp_path, line):
    path, partition = archives.celeba(tmp_path)
    partition.write_text(partition.read_text() + line + "\n")
    with pytest.raises(UserError, match="use the published list_eval_partition"):
        make("celeba", "original", path=path, partition_path=partition)


def test_celeba_from_no_zip(make, tmp_path):
    path, partition = archives.celeba(tmp_path)
    whole = path.read_bytes()
    for content in (b"<!DOCTYPE html>", whole[: len(whole) // 2], b""):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a whole zip"):
            make("celeba", "original", path=path, partition_path=partition)
    assert not list((tmp_path).glob("data/*"))


def test_celeba_without_one_usable_image(make, tmp_path):
    path, partition = archives.celeba(tmp_path, "0", {"000001.jpg": b"?"})
    with pytest.raises(UserError, match="holds no usable image"):
        make("celeba", "original", path=path, partition_path=partition)


@pytest.mark.parametrize("crop", [(10, 0, 10, 20), (-1, 0, 5, 5), (5, 9, 10, 3)])
def test_empty_crop_is_refused(make, crop):
    for name in ("celeba", "chairs3d"):
        with pytest.raises(UserError, match="crop"):
            make(name, "original", crop=crop)


def test_celeba_is_fetched(make, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    path, partition = archives.celeba(tmp_path)
    with loopback.serving() as server:
        for name, file in (("ARCHIVE", path), ("PARTITION", partition)):
            url = server.url(f"/{name}", loopback.ranged(file.read_bytes()))
            published = Published(
                file.name,
                (url,),
                hashlib.md5(file.read_bytes()).hexdigest(),
                bytes=file.stat().st_size,
            )
            monkeypatch.setattr(celeba, name, published)
        array = make("celeba", "original")
    assert len(array) == 7
    assert array.metadata["hashes"]["sources"]["img_align_celeba.zip"]["as_published"]
    assert (tmp_path / "d" / "img_align_celeba.zip").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("part", [1, 2])
def test_damaged_copy_in_the_download_folder_is_refused(make, tmp_path, part):
    """Although its hash is known only when its images are read, or cannot be."""
    path, partition = archives.celeba(tmp_path)
    (tmp_path / "d").mkdir()
    content = path.read_bytes()
    (tmp_path / "d" / path.name).write_bytes(content[: len(content) // part])
    with pytest.raises(UserError, match="delete it to download it again"):
        make("celeba", "original", partition_path=partition)
    assert not list((tmp_path).glob("data/*"))


# 3D Chairs


@pytest.mark.parametrize("batch", [2, 256])
def test_chairs_from_own_tar(make, tmp_path, monkeypatch, caplog, batch):
    monkeypatch.setattr(reading, "_BATCH", batch)
    crop = (100, 100, 500, 500)
    path = archives.chairs(tmp_path, models=4, views=2)
    array = make("chairs3d", "original", path=path, crop=crop)
    assert array.splits == {"train": range(6), "test": range(6, 8)}
    for index, (model, view) in enumerate(itertools.product(range(4), (1, 2))):
        data = archives.png(100 * model + view)
        assert np.abs(array.images(index) - pil(io.BytesIO(data), crop, "L")).max() <= 1
    assert array.metadata["skipped"] == {"not a render by its name": 1}
    assert "7941bff4d19665ed2dd8c82e88293e1b" in caplog.text
    assert "gave 8 images, not the published 86366" in caplog.text


def test_chairs_with_faults(make, tmp_path):
    good = archives.png(1)
    extra = {
        archives.render(0, 1): good[: len(good) // 2],
        archives.render(1, 1): archives.jpeg(1),
        archives.render(1, 2): archives.png(2, (300, 300)),
        archives.render(2, 1): archives.png(3, mode="L"),
        archives.render(2, 2): archives.png(4, mode="RGBA"),
        archives.render(3, 2): archives.encode(np.zeros((600, 600), np.uint16), "PNG", mode="I;16"),
        archives.render(3, 1).replace(".png", ".jpg"): good,
        f"rendered_chairs/{archives.model(3)}/stray.png": good,
        "rendered_chairs/ABC/renders/image_001_p020_t011_r096.png": good,
    }
    path = archives.chairs(tmp_path, extra=extra)
    array = make("chairs3d", "original", path=path, crop=(100, 100, 500, 500))
    assert array.metadata["skipped"] == {
        "broken PNG": 2,
        "not 8 bits a channel": 1,
        "not a render by its name": 4,
        "smaller than the crop": 1,
    }
    assert len(array) == 4


def resized(image, crop=None, grey=False):
    """Crop, resize and turn grey, as it is done to every image of an archive: C×64×64."""
    (group,) = reading.shrink([reading.cut(image, crop)])
    return (reading.to_grey(group) if grey else group)[0].numpy().astype(int)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_pixels_of_chairs_are_those_of_pillow(mode):
    """Within one grey level, and mostly equal, on edges as hard as they come."""
    crop = (100, 100, 500, 500)
    coarse = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    data = archives.encode(coarse.repeat(5, axis=0).repeat(5, axis=1), "PNG", mode=mode)
    # Luma of the colours, where Pillow would make it of the palette.
    expected = pil(io.BytesIO(data), crop).transpose(1, 2, 0).astype(np.uint8)
    error = np.abs(
        resized(chairs3d.decode(data), crop, grey=True)
        - np.asarray(Image.fromarray(expected).convert("L"), int)
    )
    assert error.max() <= 1
    assert error.mean() < 0.1


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_of_celeba_are_those_of_pillow(mode, options):
    picture = np.random.default_rng(0).integers(0, 256, (218, 178, 3), dtype=np.uint8)
    data = archives.encode(picture, "JPEG", mode=mode, quality=75, **options)
    error = np.abs(resized(celeba.decode(data)) - pil(io.BytesIO(data)))
    assert error.max() <= 1
    assert error.mean() < 0.02


def test_images_that_are_resized_together_are_as_if_alone():
    random = np.random.default_rng(0)
    sizes = [(218, 178)] * 40 + [(100, 90), (218, 178), (600, 600), (2000, 1000), (218, 178)]
    images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    together = np.concatenate([group.numpy() for group in reading.shrink(images)])
    assert np.array_equal(together, [resized(image) for image in images])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_damaged_images_are_skipped_or_read_whatever_the_damage(kind):
    """The fast decoders raise nothing that would end the reading of all the others."""
    random = np.random.default_rng(0)
    whole, decode, shape = {
        "JPEG": (archives.jpeg(1), celeba.decode, (218, 178, 3)),
        "PNG": (archives.png(1, (40, 30)), chairs3d.decode, (30, 40, 3)),
    }[kind]
    read = skipped = 0
    for _ in range(1000):
        data = bytearray(whole)
        for position in random.integers(0, len(data), random.integers(1, 4)):
            data[position] ^= 1 << random.integers(8)
        data = bytes(data[: random.integers(len(data) // 2, 3 * len(data))])
        try:
            assert decode(data).shape[2] == shape[2]
            read += 1
        except SkipError:
            skipped += 1
    assert read > 50
    assert skipped > 50


def test_damage_that_pillow_has_no_exception_for():
    whole = archives.png(1, (40, 30), mode="RGBA")
    empty = struct.pack(">I4sI", 0, b"iCCP", zlib.crc32(b"iCCP"))
    with pytest.raises(SkipError, match="broken PNG"):
        chairs3d.decode(whole[:-12] + empty + whole[-12:])


def test_transparent_render_lies_on_white():
    picture = np.zeros((80, 80, 4), np.uint8)
    picture[:40, :, 3] = 255  # the upper half is black, the lower half transparent black
    image = chairs3d.decode(archives.encode(picture, "PNG", mode="RGBA"))
    assert (image[:40] == 0).all()
    assert (image[40:] == 255).all()


@pytest.mark.parametrize("text", [b"", b"IDAT"])
def test_transparent_colour_lies_on_white(text):
    """A PNG without an alpha channel can name one colour that is transparent."""
    picture = np.zeros((80, 80, 3), np.uint8)
    picture[40:] = 7
    about = PngInfo()
    about.add(b"tEXt", b"Comment\0" + text)
    data = archives.encode(picture, "PNG", transparency=(7, 7, 7), pnginfo=about)
    assert text in data[: data.index(b"tRNS")]
    image = chairs3d.decode(data)
    assert (image[:40] == 0).all()
    assert (image[40:] == 255).all()


def test_chairs_keep_models_together():
    renders = [
        chairs3d.Render(archives.model(number), str(view), 0, 0)
        for number in range(10)
        for view in range(3)
    ]
    training, testing = chairs3d.split_models(renders, 0.2)
    assert (len(training), len(testing)) == (24, 6)
    assert {r.model for r in training}.isdisjoint(r.model for r in testing)
    assert chairs3d.split_models(renders, 0.0) == (renders, [])


def test_chairs_from_no_tar(make, tmp_path):
    path = archives.chairs(tmp_path)
    whole = path.read_bytes()
    for content in (b"<!DOCTYPE html>", b"", whole[:-20_000][: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"not a whole, uncompressed tar|no usable render"):
            make("chairs3d", "original", path=path)
    assert not list((tmp_path).glob("data/*"))


def test_what_is_known_of_an_array_is_json(make):
    assert json.dumps(make("chairs3d", "drawn", images=40).metadata)
