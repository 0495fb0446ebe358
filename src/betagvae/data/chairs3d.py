"""3D Chairs: 86,366 renders, 1,393 chairs from 62 sides, on white.

Aubry, Maturana, Efros, Russell & Sivic (2014), https://www.di.ens.fr/willow/research/seeing3Dchairs.
The renders are read straight from the published tar; drawn chairs stand in where it cannot be had.
"""

import logging
import re
import struct
import tarfile
from collections import Counter
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from betagvae.data import drawn_chairs
from betagvae.data.dataset import Dataset
from betagvae.data.decoding import SkipError, decode_by_pillow
from betagvae.data.drawn import Drawn, make_drawn
from betagvae.data.fetch import locate
from betagvae.data.originals import Original, check_crop, keeping_objects, write_original
from betagvae.data.published import Published
from betagvae.errors import UserError
from betagvae.settings.data import DataSettings

logger = logging.getLogger(__name__)

MODELS, VIEWS = 1_393, 62

ARCHIVE = Published(
    name="rendered_chairs.tar",
    urls=("https://www.di.ens.fr/willow/research/seeing3Dchairs/data/rendered_chairs.tar",),
    digest="7941bff4d19665ed2dd8c82e88293e1b",
    certain=False,  # one source names it
)
ORIGINAL = Original(
    channels=1, colours="grey", item="render (rendered_chairs/<model>/renders/*.png)"
)
DRAWN = Drawn(channels=1, stride=5_989, draw=drawn_chairs.draw)

_RENDER = re.compile(
    r"rendered_chairs/(?P<model>[0-9a-f]{32})/renders/image_\d{3}_p\d{3}_t\d{3}_r\d{3}\.png"
)

_PNG_HEADER = struct.Struct(">16sII2s")
"""Start of every PNG, width, height, bits and kind of its channels."""
_PNG_START, _RGB_8_BITS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\x08\x02"
_LARGEST = 10_000_000
"""Pixels; a damaged size would have the memory for it allocated before the damage shows."""


class Render(NamedTuple):
    """Where a render lies in the tar."""

    model: str
    """32 hexadecimal digits."""
    name: str
    """Path in the archive."""
    offset: int
    size: int


def make(output: Path, settings: DataSettings) -> None:
    """Write the array and its JSON."""
    if settings.source == "drawn":
        make_drawn(output, settings, DATASET, DRAWN)
    else:
        _make_original(output, settings)


DATASET = Dataset(
    name="chairs3d",
    title="3D Chairs",
    likelihood="bernoulli",
    base_index=0,
    images=MODELS * VIEWS,
    sources=("original", "drawn"),
    stand_in=True,
    factors=drawn_chairs.FACTORS,
    make=make,
)


def _make_original(output: Path, settings: DataSettings) -> None:
    check_crop(settings.crop, "datasets.chairs3d.data.crop")
    archive = locate(
        ARCHIVE,
        own=settings.path,
        extra_urls=settings.urls,
        folder=settings.download_dir,
        key="datasets.chairs3d.data.path",
    )
    try:
        renders, strays = list_renders(archive.path)
    except UserError:
        archive.record()  # says more about a damaged download
        raise
    training, testing = split_models(renders, settings.test_fraction)
    write_original(
        output,
        DATASET,
        ORIGINAL,
        archive.path,
        _read,
        {"train": training, "test": testing},
        source_files=lambda: {ARCHIVE.name: archive.record()},
        skipped=strays,
        settings=settings,
    )


def list_renders(path: Path) -> tuple[list[Render], Counter[str]]:
    """Return the renders by model and file name, and the number of other files by reason."""
    renders: dict[str, Render] = {}
    skipped: Counter[str] = Counter()
    try:
        # "r:" is an uncompressed tar, in which a render can be read from where it lies.
        with keeping_objects(), tarfile.open(path, "r:") as content:
            for member in content:
                found = _RENDER.fullmatch(member.name.removeprefix("./"))
                if member.isdir():
                    continue
                if not (found and member.isreg()):
                    skipped["not a render by its name"] += 1
                    continue
                skipped["twice in the archive"] += found[0] in renders
                renders[found[0]] = Render(
                    found["model"], found[0], member.offset_data, member.size
                )
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(
            f"{path} is not a whole, uncompressed tar ({error}): download {ARCHIVE.name} again"
        ) from error
    return [renders[name] for name in sorted(renders)], skipped


def split_models(renders: list[Render], test_fraction: float) -> tuple[list[Render], list[Render]]:
    """Keep the last models for testing, so that no chair is in both splits.

    The models are named by hashes: the last ones in the alphabet are as random as any.
    """
    models = sorted({render.model for render in renders})
    tested = set(models[len(models) - round(len(models) * test_fraction) :])
    return (
        [render for render in renders if render.model not in tested],
        [render for render in renders if render.model in tested],
    )


def _read(content: BinaryIO, render: Render) -> np.ndarray:
    """Read a render from where it lies in the archive."""
    content.seek(render.offset)
    data = content.read(render.size)
    if len(data) < render.size:
        raise SkipError("cut off by the end of the archive")
    return decode(data)


def decode(data: bytes) -> np.ndarray:
    """Decode one render: PNG bytes → uint8 H×W×3, RGB on white.

    Raises
    ------
    SkipError
        When it is no PNG or broken.
    """
    image = _decode_rgb(data)
    return _decode(data) if image is None else image


def _decode_rgb(data: bytes) -> np.ndarray | None:
    """Decode a PNG with three channels of 8 bits, as the renders have: uint8 H×W×3.

    By another library than the other kinds, in a third of the time. None: leave it to `_decode`,
    which also says what is wrong with it.
    """
    # Here, since drawn images, which a machine without this library may want, need no decoder.
    from kornia_rs.io import decode_image_png_u8

    try:
        start, width, height, kind = _PNG_HEADER.unpack_from(data)
        if start != _PNG_START or kind != _RGB_8_BITS or width * height > _LARGEST:
            return None
        if b"tRNS" in _chunks_before_pixels(data):
            return None  # a colour is transparent, which would be taken for opaque
        return decode_image_png_u8(data, (height, width), "rgb")
    except Exception:  # the library has no narrower one
        return None


def _chunks_before_pixels(data: bytes) -> list[bytes]:
    """Return the names of a PNG's chunks before the first with pixels."""
    names, position = [], len(b"\x89PNG\r\n\x1a\n")
    while (name := data[position + 4 : position + 8]) not in (b"IDAT", b""):
        names.append(name)
        length = int.from_bytes(data[position : position + 4])
        position += 12 + length  # length, name and checksum are of four bytes each
    return names


def _decode(data: bytes) -> np.ndarray:
    """Decode a PNG of any kind: uint8 H×W×3, on white."""
    # Not by torchvision, whose pixels of palettes are wrong.
    image = decode_by_pillow(data, "PNG", "RGBA")
    if _PNG_HEADER.unpack_from(data)[3][0] > 8:
        raise SkipError("not 8 bits a channel")
    return _on_white(image)


def _on_white(image: np.ndarray) -> np.ndarray:
    """Lay colours with an alpha channel on white: uint8 H×W×4 → H×W×3."""
    colours, alpha = image[..., :3], image[..., 3:]
    if (alpha == 255).all():
        return colours
    return (255 - (255 - colours.astype(np.float32)) * alpha / 255).round().astype(np.uint8)
