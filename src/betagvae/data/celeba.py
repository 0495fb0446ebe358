"""CelebA: 202,599 photographs of faces, aligned, 178×218, with an official partition.

Liu, Luo, Wang & Tang (2015), https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html. The images are
read straight from the published zip; drawn faces stand in where it cannot be had.
"""

import logging
import os
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from betagvae.data import drawn_faces
from betagvae.data.dataset import Dataset
from betagvae.data.decoding import SkipError, decode_by_pillow
from betagvae.data.drawn import Drawn, make_drawn
from betagvae.data.fetch import locate, obtain
from betagvae.data.originals import Original, check_crop, keeping_objects, write_original
from betagvae.data.published import Published
from betagvae.errors import UserError
from betagvae.settings.data import DataSettings

logger = logging.getLogger(__name__)

WIDTH, HEIGHT = 178, 218
SPLITS = ("train", "validation", "test")
"""In the order of their numbers in the partition file: 162,770, 19,867 and 19,962 images."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, and lengths of name and extra field, which stand between header and content."""
_FRAME = struct.pack(">4sBHHB", b"\xff\xc0\x00\x11", 8, HEIGHT, WIDTH, 3)
"""Frame header of a baseline JPEG: marker, length, bits, height, width, channels."""

_DRIVE = "https://drive.google.com/uc?export=download&id="
ARCHIVE = Published(
    name="img_align_celeba.zip",
    urls=(
        f"{_DRIVE}0B7EVK8r0v71pZjFTYXZWM3FlRnM",
        "https://s3-us-west-1.amazonaws.com/udacity-dlnfd/datasets/celeba.zip",
    ),
    digest="00d2c5bc6d35e252742224ab0c1e8fcb",
    bytes=1_443_490_838,
)
PARTITION = Published(
    name="list_eval_partition.txt",
    urls=(f"{_DRIVE}0B7EVK8r0v71pY0NSMzRuSXJEVkk",),
    digest="d32c9cbf5e040fd4025c592c306e6668",
    bytes=2_836_386,
)
ORIGINAL = Original(channels=3, colours="RGB", item="image of the partition file")
DRAWN = Drawn(channels=3, stride=487_177, draw=drawn_faces.draw)


def make(output: Path, settings: DataSettings) -> None:
    """Write the array and its JSON."""
    if settings.source == "drawn":
        make_drawn(output, settings, DATASET, DRAWN)
    else:
        _make_original(output, settings)


DATASET = Dataset(
    name="celeba",
    title="CelebA",
    likelihood="squared_error",
    base_index=0,
    images=202_599,
    sources=("original", "drawn"),
    stand_in=True,
    factors=drawn_faces.FACTORS,
    make=make,
)


def _make_original(output: Path, settings: DataSettings) -> None:
    check_crop(settings.crop, "datasets.celeba.data.crop")
    # The small file first: what is wrong with it shows before the large one is fetched.
    partition = obtain(
        PARTITION,
        own=settings.partition_path,
        extra_urls=settings.partition_urls,
        folder=settings.download_dir,
        key="datasets.celeba.data.partition_path",
    )
    names = read_partition(partition.path)
    archive = locate(
        ARCHIVE,
        own=settings.path,
        extra_urls=settings.urls,
        folder=settings.download_dir,
        key="datasets.celeba.data.path",
    )
    try:
        with keeping_objects(), zipfile.ZipFile(archive.path) as content:
            entries, skipped = match(content.infolist(), names)
    except zipfile.BadZipFile as error:
        archive.record()  # says more about a damaged download
        raise UserError(
            f"{archive.path} is not a whole zip archive ({error}): download {ARCHIVE.name} again"
        ) from error
    write_original(
        output,
        DATASET,
        ORIGINAL,
        archive.path,
        _read,
        entries,
        source_files=lambda: {PARTITION.name: partition.record, ARCHIVE.name: archive.record()},
        skipped=skipped,
        settings=settings,
    )


def read_partition(path: Path) -> dict[str, list[str]]:
    """Return the file names of each split, in the order of the partition file."""
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    seen = set()
    for number, line in enumerate(_lines(path), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in ("0", "1", "2") or words[0] in seen:
            raise UserError(
                f"{path}, line {number}: {line.strip()[:60]!r} is not a new image name and 0, 1 or "
                f"2: use the published {PARTITION.name}"
            )
        seen.add(words[0])
        names[SPLITS[int(words[1])]].append(words[0])
    return names


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text: use the published {PARTITION.name}") from error


class Entry(NamedTuple):
    """Where a photograph lies in the zip, as its directory says."""

    name: str
    """Path in the archive."""
    offset: int
    """First byte of the local header."""
    size: int
    """Bytes as they are stored."""
    method: int
    """Compression."""
    checksum: int
    """CRC-32 of the content."""


def match(
    infos: list[zipfile.ZipInfo], names: dict[str, list[str]]
) -> tuple[dict[str, list[Entry]], Counter[str]]:
    """Find the entries of each split; count what the partition and the archive do not share."""
    found: dict[str, Entry] = {}
    skipped: Counter[str] = Counter()
    for entry in infos:
        folders, _, name = entry.filename.rpartition("/")
        if entry.is_dir():
            continue
        if not name.lower().endswith(".jpg") or "__MACOSX" in folders.split("/"):
            skipped["no JPEG by its name"] += 1
        elif name in found:
            skipped["twice in the archive"] += 1
        else:
            found[name] = Entry(
                entry.filename,
                entry.header_offset,
                entry.compress_size,
                entry.compress_type,
                entry.CRC,
            )
    entries = {
        split: [found[image] for image in images if image in found]
        for split, images in names.items()
    }
    listed, matched = (sum(map(len, group.values())) for group in (names, entries))
    skipped["missing from the archive"] = listed - matched
    skipped["not in the partition file"] = len(found) - matched
    return entries, skipped


def _read(archive: BinaryIO, entry: Entry) -> np.ndarray:
    try:
        data = _content(archive, entry)
    except (zipfile.BadZipFile, zlib.error, struct.error) as error:
        logger.warning("%s: %s", entry.name, error)
        raise SkipError("damaged in the archive") from error
    return decode(data)


def _content(archive: BinaryIO, entry: Entry) -> bytes:
    """Return the content of an entry.

    `zipfile.ZipFile` would read the directory of all 202,599 images anew in each process. What is
    not stored or deflated fails its checksum.
    """
    start = entry.offset + _LOCAL_HEADER.size
    header = os.pread(archive.fileno(), _LOCAL_HEADER.size, entry.offset)
    signature, name, extra = _LOCAL_HEADER.unpack(header)
    if signature != b"PK\3\4":
        raise zipfile.BadZipFile("no entry where the directory says")
    data = os.pread(archive.fileno(), entry.size, start + name + extra)
    if entry.method == zipfile.ZIP_DEFLATED:
        data = zlib.decompress(data, wbits=-zlib.MAX_WBITS)
    if zlib.crc32(data) != entry.checksum:
        raise zipfile.BadZipFile("wrong checksum, encrypted, or an unknown compression")
    return data


def decode(data: bytes) -> np.ndarray:
    """Decode one photograph: JPEG bytes → uint8 218×178×3, RGB.

    Raises
    ------
    SkipError
        When it is no JPEG, broken, or not 178×218.
    """
    image = _decode_baseline(data)
    if image is None:
        image = decode_by_pillow(data, "JPEG", "RGB")
    if image.shape[:2] != (HEIGHT, WIDTH):
        raise SkipError(f"not {WIDTH}×{HEIGHT} pixels")
    return image


def _decode_baseline(data: bytes) -> np.ndarray | None:
    """Decode a JPEG of the common kind and the right size, in half of Pillow's time.

    None: leave it to Pillow, which also forgives what this decoder does not.
    """
    # Here, since drawn images, which a machine without this library may want, need no decoder.
    from kornia_rs.io import decode_image_jpegturbo

    if _FRAME not in data:
        return None
    try:
        return decode_image_jpegturbo(data, "rgb")
    except Exception:  # the library has no narrower one
        return None
