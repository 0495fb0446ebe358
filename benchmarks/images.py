"""The images that are trained on, drawn, in our format and in those that the public loops read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from betagvae.bench.running import draw
from betagvae.data.arrays import ArrayWriter, ImageArray, open_array

DSPRITES, CELEBA = "dsprites", "celeba"
EVERY = 10
"""Every how-manieth dSprites image is taken: the first loop holds them as float32."""
FACES = 8192
"""Drawn faces."""
COPIES = 4
"""Names of each JPEG, so that an epoch is longer than a measurement."""
ORIGINAL_SIZE = (178, 218)
"""Of CelebA's JPEGs, which the first loop resizes itself; the second wants them resized."""


@dataclass(frozen=True)
class Images:
    """Where everything lies."""

    folder: Path
    arrays: Mapping[str, Path]

    def of_loop(self, repository: str, dataset: str) -> Path:
        """Return the folder that a loop is to find its data in."""
        return self.folder / repository.split("/")[0] / dataset


def make_images(folder: Path, threads: int) -> Images:
    """Draw both data sets and write them in all formats."""
    arrays = {DSPRITES: folder / "thinned.npy", CELEBA: draw(CELEBA, folder, threads, FACES)}
    images = Images(folder, arrays)
    thinned = _thin(open_array(draw(DSPRITES, folder, threads)), arrays[DSPRITES])
    _write_npz(thinned, images)
    faces = open_array(arrays[CELEBA])
    konny, yanndubs = (images.of_loop(name, CELEBA) for name in ("1Konny/", "YannDubs/"))
    _write_jpegs(faces, konny / "CelebA" / "faces", ORIGINAL_SIZE)
    _write_jpegs(faces, yanndubs / "img_align_celeba", None)
    return images


def _thin(array: ImageArray, path: Path) -> ImageArray:
    with ArrayWriter(path, channels=1, packed=True) as writer:
        writer.append(np.ascontiguousarray(array.stored[::EVERY]))
        writer.finish(
            dataset=array.dataset,
            source=array.source,
            stand_in=False,
            splits={"train": (0, writer.images)},
            preprocessing={"every": EVERY},
        )
    return open_array(path)


def _write_npz(array: ImageArray, images: Images) -> None:
    """Write the layout of the published file, under the name that each loop looks for."""
    bits = np.unpackbits(array.stored, axis=-1).reshape(-1, 64, 64)
    konny = images.of_loop("1Konny/", DSPRITES) / "dsprites-dataset"
    yanndubs = images.of_loop("YannDubs/", DSPRITES)
    konny.mkdir(parents=True)
    yanndubs.mkdir(parents=True)
    path = konny / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    np.savez(path, imgs=bits, latents_values=np.zeros((len(bits), 6)))
    os.link(path, yanndubs / "dsprite_train.npz")


def _write_jpegs(array: ImageArray, folder: Path, size: tuple[int, int] | None) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(array.images(range(len(array)))):
        picture = Image.fromarray(image.transpose(1, 2, 0))
        first = folder / f"{number:06}_0.jpg"
        (picture.resize(size) if size else picture).save(first, quality=95)
        for copy in range(1, COPIES):
            os.link(first, folder / f"{number:06}_{copy}.jpg")
