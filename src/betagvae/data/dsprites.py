"""dSprites: 737,280 black-and-white images, every combination of its factors.

Matthey, Higgins, Hassabis & Lerchner (2017), https://github.com/google-deepmind/dsprites-dataset.
The images can be drawn exactly from their geometry, so no download is needed; the original file
is read for those who prefer it.
"""

import logging
import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from betagvae.data.arrays import SIDE, ArrayWriter, grid_classes
from betagvae.data.dataset import Dataset
from betagvae.data.fetch import obtain
from betagvae.data.published import Published
from betagvae.errors import UserError
from betagvae.settings.data import DataSettings

logger = logging.getLogger(__name__)

FACTORS = {"colour": 1, "shape": 3, "scale": 6, "orientation": 40, "posX": 32, "posY": 32}
IMAGES = math.prod(FACTORS.values())

ARCHIVE = Published(
    name="dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
    urls=(
        "https://github.com/google-deepmind/dsprites-dataset/raw/"
        "fa310c66517cfc1939d77fe17c725154efc97127/"
        "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
    ),
    digest="7da33b31b13a06f4b04a70402ce90c2e",
)

_BATCH = 4096  # images read at a time; divides their number

_SCALES = np.linspace(0.5, 1, 6)
_ANGLES = np.linspace(0, 2 * np.pi, 40)  # both ends: the first and last image are the same
_POSITIONS = np.linspace(0, 1, 32)
_SUB = 256  # vertices are rounded to 1/256 pixel
_FROM_COLUMN = (
    (np.uint64(2**64 - 1) >> np.arange(64, dtype=np.uint64)).astype(">u8").view(np.uint64)
)
"""Row k has the pixels k..63 set, eight bytes as `np.packbits` would make them."""
_RADIUS = 9.6  # half the side of the square at scale 1, pixels


def make(output: Path, settings: DataSettings) -> None:
    """Write the array and its JSON."""
    sources = {}
    images = draw()
    if settings.source == "original":
        archive = obtain(
            ARCHIVE,
            own=settings.path,
            extra_urls=settings.urls,
            folder=settings.download_dir,
            key="datasets.dsprites.data.path",
        )
        images, sources = read(archive.path), {ARCHIVE.name: archive.record}
    with ArrayWriter(output, channels=1, packed=True, expected=IMAGES) as writer:
        for batch in images:
            writer.append(batch)
        writer.finish(
            dataset=DATASET.name,
            source=settings.source,
            stand_in=DATASET.stand_in,
            splits={"train": (0, writer.images)},
            preprocessing={},
            factors=_factors(),
            source_files=sources,
        )
    logger.info("%s: %d images", output, writer.images)


DATASET = Dataset(
    name="dsprites",
    title="dSprites",
    likelihood="bernoulli",
    base_index=451_088,
    images=IMAGES,
    sources=("original", "drawn"),
    stand_in=False,
    factors=FACTORS,
    make=make,
)


def _factors() -> dict[str, Any]:
    return {"names": list(FACTORS), "sizes": list(FACTORS.values()), "start": 0, "stride": 1}


def read(path: Path) -> Iterator[np.ndarray]:
    """Read the original npz in parts, without unpickling its ``metadata``.

    Yields
    ------
    Packed images, uint8 N×1×64×8.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_classes(archive, path)
            yield from _read_images(archive, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is not the original dSprites file ({error}): download {ARCHIVE.name} again"
        ) from error


def _check_classes(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse a file whose images are not in the order of the factor grid."""
    with archive.open("latents_classes.npy") as file:
        classes = np.lib.format.read_array(file, allow_pickle=False)
    sizes = tuple(FACTORS.values())
    if not np.array_equal(classes, grid_classes(np.arange(IMAGES), sizes, 0, 1)):
        raise UserError(
            f"{path}: latents_classes is {classes.shape}, not all {IMAGES} combinations of "
            f"{sizes} in order: use the original {ARCHIVE.name}"
        )


def _read_images(archive: zipfile.ZipFile, path: Path) -> Iterator[np.ndarray]:
    with archive.open("imgs.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if shape != (IMAGES, SIDE, SIDE) or dtype != np.uint8:
            raise UserError(
                f"{path}: imgs is {dtype} {shape}, not uint8 {(IMAGES, SIDE, SIDE)}: use the "
                f"original {ARCHIVE.name}"
            )
        for _ in range(IMAGES // _BATCH):
            pixels = np.frombuffer(file.read(_BATCH * SIDE * SIDE), np.uint8)
            if pixels.max() > 1:
                raise UserError(f"{path}: imgs has values above 1: use the original file")
            yield np.packbits(pixels.reshape(-1, 1, SIDE, SIDE), axis=-1)


def draw() -> Iterator[np.ndarray]:
    """Draw the whole set, in the order of the original file.

    Yields
    ------
    Packed images of one shape at one scale, uint8 (40·32·32)×1×64×8.
    """
    for outline in (_square(), _ellipse(), _heart()):
        for scale in _SCALES:
            rows = np.stack([_rasterise(scale * outline, angle) for angle in _ANGLES])
            yield rows.view(np.uint8).reshape(-1, 1, SIDE, SIDE // 8)


def _square() -> np.ndarray:
    """Return the outline as vertices (u, v), 4×2, v down, pixels at scale 1."""
    return _RADIUS * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])


def _ellipse() -> np.ndarray:
    """Return the outline, 100×2."""
    t = 2 * np.pi * np.arange(100) / 100
    return np.stack([_RADIUS * 1.33 * np.cos(t), _RADIUS / 1.33 * np.sin(t)], axis=1)


def _heart() -> np.ndarray:
    """Return the outline, 150×2."""
    t = 2 * np.pi * np.arange(150) / 150
    cosines = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack(
        [_RADIUS * np.sin(t) ** 3, -_RADIUS * (cosines / 14.5 + 0.15)],
        axis=1,
    )


def _rasterise(outline: np.ndarray, angle: float) -> np.ndarray:
    """Draw one outline at all 32×32 positions.

    A pixel is set where its centre lies inside the polygon: on a left edge it is in, on a right
    edge out; an edge counts for a row when ymin < centre ≤ ymax. Every crossing of an edge with
    the centre line of a row flips all pixels from there to the right end of the row, so a row
    is the XOR of its crossings' masks, in any order.

    Returns
    -------
    uint64, 32 (posX) × 32 (posY) × 64 rows; the bytes of each are the packed row.
    """
    x_vp, y_vp = _vertices(outline, angle)
    edge, position, row = _crossings(y_vp)
    after = (edge + 1) % len(outline)
    x0_kp, x1_kp = x_vp[edge], x_vp[after]  # K crossings × 32 posX
    y0_k, y1_k = y_vp[edge, position], y_vp[after, position]
    along_k = (row * _SUB + _SUB // 2 - y0_k) / (y1_k - y0_k)
    x_kp = x0_kp + (x1_kp - x0_kp) * along_k[:, None]
    column_kp = np.ceil((x_kp - _SUB // 2) / _SUB).astype(np.int64)
    return _fill(position * SIDE + row, _FROM_COLUMN[column_kp])


def _vertices(outline: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return x at every posX and y at every posY, int64 V×32, in 1/256 pixel."""
    u, v = outline.T
    x_v = np.cos(angle) * u + np.sin(angle) * v
    y_v = -np.sin(angle) * u + np.cos(angle) * v
    centre_p = 16 + 32 * _POSITIONS
    x_vp, y_vp = (
        np.floor(_SUB * (centre_p + offset[:, None]) + 0.5).astype(np.int64)
        for offset in (x_v, y_v)
    )
    return x_vp, y_vp


def _crossings(y_vp: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return edge, posY and row of every crossing, ordered by posY and row, each K."""
    first_vp = (y_vp + _SUB // 2) // _SUB  # number of rows whose centre is at or above the vertex
    after_vp = np.roll(first_vp, -1, axis=0)
    count_e = np.abs(after_vp - first_vp).ravel()  # crossings of each of the 32·V edges
    edge_e, position_e = (axis.ravel() for axis in np.indices(y_vp.shape))
    run_k = np.arange(count_e.sum()) - np.repeat(np.cumsum(count_e) - count_e, count_e)
    row_k = np.repeat(np.minimum(first_vp, after_vp).ravel(), count_e) + run_k
    edge_k, position_k = np.repeat(edge_e, count_e), np.repeat(position_e, count_e)
    order = np.argsort(position_k * SIDE + row_k, kind="stable")
    return edge_k[order], position_k[order], row_k[order]


def _fill(line_k: np.ndarray, mask_kp: np.ndarray) -> np.ndarray:
    """XOR the masks of each line (posY·64 + row; ordered) into uint64 posX×posY×64."""
    first = np.flatnonzero(np.diff(line_k, prepend=-1))
    lines = np.zeros((_POSITIONS.size, _POSITIONS.size * SIDE), np.uint64)  # posX×(posY·64)
    lines[:, line_k[first]] = np.bitwise_xor.reduceat(mask_kp, first, axis=0).T
    return lines.reshape(_POSITIONS.size, _POSITIONS.size, SIDE)
