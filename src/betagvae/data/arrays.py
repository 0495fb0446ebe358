"""The one format of every data set: a memory-mapped uint8 array with a JSON beside it.

``<name>.npy`` holds N×C×64×64 values 0..255, or, for black-and-white sets, N×C×64×8 bytes in
which the most significant bit is the leftmost pixel (``np.packbits`` along the width).
``<name>.json`` says what the array is and how it came about.
"""

import errno
import hashlib
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from betagvae.errors import UserError
from betagvae.records.environment import surroundings
from betagvae.records.files import sha256, write_json

SIDE = 64
"""Height and width of every image, pixels."""

SPLIT_ORDER = ("test", "validation", "train")
"""Names of splits, those held out from training first."""

_REQUIRED = ("dataset", "source", "stand_in", "images", "channels", "packed", "splits", "factors")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, eq=False)
class ImageArray:
    """A data set on disk: pixels, and what is known about them."""

    stored: np.ndarray
    """uint8, memory-mapped; N×C×64×64, or N×C×64×8 when packed."""
    metadata: Mapping[str, Any]
    """The JSON beside the array."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.stored)

    @property
    def dataset(self) -> str:
        """Name of the data set, as in the registry."""
        return self.metadata["dataset"]

    @property
    def source(self) -> str:
        """``drawn`` or ``original``."""
        return self.metadata["source"]

    @property
    def stand_in(self) -> bool:
        """Whether these images only stand in for the real ones."""
        return self.metadata["stand_in"]

    @property
    def channels(self) -> int:
        """1 for grey and black-and-white images, 3 for RGB."""
        return self.metadata["channels"]

    @property
    def packed(self) -> bool:
        """Whether eight pixels share a byte."""
        return self.metadata["packed"]

    @property
    def splits(self) -> dict[str, range]:
        """Indices of each split that the set has."""
        return {name: range(*bounds) for name, bounds in self.metadata["splits"].items()}

    @property
    def held_out(self) -> str:
        """Name of the split that was not trained on, or of all there is."""
        return next(name for name in SPLIT_ORDER if name in self.splits)

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Names of the known factors of variation; empty where none are known."""
        return tuple(self.metadata["factors"]["names"]) if self.metadata["factors"] else ()

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        """Number of values of each known factor."""
        return tuple(self.metadata["factors"]["sizes"]) if self.metadata["factors"] else ()

    def images(self, indices: npt.ArrayLike) -> np.ndarray:
        """Return images as uint8, N×C×64×64, values 0..255."""
        stored = np.asarray(self.stored[np.asarray(indices)])
        return unpack(stored) if self.packed else stored

    def factor_classes(self, indices: npt.ArrayLike) -> np.ndarray:
        """Return the class of every factor as int64, N×K."""
        factors = self.metadata["factors"]
        if not factors:
            raise UserError(f"{self.dataset} ({self.source}) has no known factors of variation")
        return grid_classes(indices, factors["sizes"], factors["start"], factors["stride"])


def grid_classes(
    indices: npt.ArrayLike, sizes: tuple[int, ...], start: int, stride: int
) -> np.ndarray:
    """Return the factor classes of images that walk a full factor grid.

    Parameters
    ----------
    indices
        Image numbers, N.
    sizes
        Number of values of each factor, K; the last factor varies fastest.
    start, stride
        Image ``i`` is the cell ``(start + stride * i) mod prod(sizes)``.

    Returns
    -------
    int64, N×K.
    """
    cells = (start + stride * np.asarray(indices, dtype=np.int64)) % math.prod(sizes)
    return np.stack(np.unravel_index(cells, tuple(sizes)), axis=-1).astype(np.int64)


def unpack(packed: np.ndarray) -> np.ndarray:
    """Turn packed bits, …×8, into bytes 0 or 255, …×64."""
    return np.unpackbits(packed, axis=-1) * np.uint8(255)


def open_array(path: Path) -> ImageArray:
    """Open an array and check it against its JSON.

    Raises
    ------
    UserError
        When a file is missing, unreadable, or the two do not belong together.
    """
    metadata = _read_metadata(path.with_suffix(".json"))
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: make it with the data command") from error
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and make it again") from error
    _check(path, stored, metadata)
    return ImageArray(stored, metadata)


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: make it with the data command") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and make it again") from error
    missing = [key for key in _REQUIRED if key not in metadata] if metadata else _REQUIRED
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}: delete it and make it again")
    return metadata


def _check(path: Path, stored: np.ndarray, metadata: Mapping[str, Any]) -> None:
    width = SIDE // 8 if metadata["packed"] else SIDE
    expected = (metadata["images"], metadata["channels"], SIDE, width)
    if stored.dtype != np.uint8 or stored.shape != expected:
        raise UserError(
            f"{path} holds {stored.dtype} {stored.shape} but its JSON promises uint8 {expected}: "
            "delete both and make them again"
        )
    for name, (start, stop) in metadata["splits"].items():
        if not 0 <= start < stop <= len(stored):
            raise UserError(
                f"{path}: the split {name} [{start}, {stop}) does not fit into {len(stored)} "
                "images: delete the array and its JSON and make them again"
            )


class ArrayWriter:
    """Write an array and its JSON so that they appear complete or not at all.

    Images are appended batch by batch, so memory stays bounded. The JSON of an older array goes
    first and the new one comes last: whenever the writer is cut, no pair looks complete.

    Parameters
    ----------
    path
        The array.
    channels
        1 or 3.
    packed
        Whether eight pixels share a byte.
    expected
        Number of images that will come, if that is known. With any other number the file has to
        be read again for its hash.

    Examples
    --------
    >>> with ArrayWriter(Path("data/x.npy"), channels=1) as writer:  # doctest: +SKIP
    ...     writer.append(images)
    ...     writer.finish(dataset="x", source="drawn", ...)
    """

    def __init__(
        self, path: Path, *, channels: int, packed: bool = False, expected: int = 0
    ) -> None:
        self.path = path
        self.images = 0
        self._expected = expected
        self._shape = (channels, SIDE, SIDE // 8 if packed else SIDE)
        self._packed = packed
        self._total = 0
        self._part = path.with_name(f".{path.name}.part")

    def __enter__(self) -> Self:
        """Open a temporary file beside the final one."""
        with no_space_is_a_user_error(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
            header = self._header(self._expected)
            self._file.write(header)
        self._hash = hashlib.sha256(header)
        return self

    def __exit__(self, *exception: object) -> None:
        """Remove what is unfinished."""
        try:
            with no_space_is_a_user_error(self.path):
                self._file.close()
        finally:
            self._part.unlink(missing_ok=True)

    def append(self, images: np.ndarray) -> None:
        """Write images, uint8 N×C×64×64 (packed: N×C×64×8)."""
        if images.dtype != np.uint8 or images.shape[1:] != self._shape:
            raise ValueError(f"{images.dtype} {images.shape} is not uint8 N×{self._shape}")
        content = np.ascontiguousarray(images).data
        # The hash first: it fetches the bytes that another processor wrote while it computes.
        self._hash.update(content)
        with no_space_is_a_user_error(self.path):
            self._file.write(content)
        self.images += len(images)
        ones = np.bitwise_count(images) if self._packed else images
        # An image's sum fits into 32 bits, which takes half the time of 64.
        self._total += int(ones.sum(axis=(1, 2, 3), dtype=np.uint32).sum(dtype=np.uint64))

    def finish(
        self,
        *,
        dataset: str,
        source: str,
        stand_in: bool,
        splits: Mapping[str, tuple[int, int]],
        preprocessing: Mapping[str, Any],
        factors: Mapping[str, Any] | None = None,
        source_files: Mapping[str, Mapping[str, Any]] | None = None,
        skipped: Mapping[str, int] | None = None,
    ) -> None:
        """Give the array and its JSON their final names.

        Parameters
        ----------
        dataset, source, stand_in
            What the images are.
        splits
            First and one-past-last index of each split; empty ones are left out.
        preprocessing
            Every step that changed pixels, in the words of the configuration.
        factors
            ``names``, ``sizes``, ``start``, ``stride`` as `grid_classes` takes them.
        source_files
            Name, bytes and hashes of the files that the images were read from.
        skipped
            Number of images left out, by reason.
        """
        metadata = {
            "dataset": dataset,
            "source": source,
            "stand_in": stand_in,
            "images": self.images,
            "channels": self._shape[0],
            "packed": self._packed,
            "splits": {name: list(ends) for name, ends in splits.items() if ends[0] < ends[1]},
            "preprocessing": dict(preprocessing),
            "factors": dict(factors) if factors else None,
            "skipped": dict(skipped or {}),
            "mean_pixel": self._mean_pixel(),
            "hashes": {"array": {"sha256": ""}, "sources": dict(source_files or {})},
            "surroundings": surroundings(),
        }
        with no_space_is_a_user_error(self.path):
            metadata["hashes"]["array"]["sha256"] = self._complete()
            json_path = self.path.with_suffix(".json")
            json_path.unlink(missing_ok=True)
            self._part.replace(self.path)
            _sync_folder(self.path.parent)
            write_json(json_path, metadata)

    def _mean_pixel(self) -> float:
        """Return the mean over all pixels, 0 (black) to 1 (white)."""
        pixels = self.images * self._shape[0] * SIDE * SIDE
        return self._total / pixels / (1 if self._packed else 255) if pixels else 0.0

    def _complete(self) -> str:
        """Bring the file to the disk; return its SHA-256."""
        as_expected = self.images == self._expected
        if not as_expected:
            self._file.seek(0)
            self._file.write(self._header(self.images))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest() if as_expected else sha256(self._part)

    def _header(self, images: int) -> bytes:
        # NumPy pads it so that the first axis can grow in place.
        header = io.BytesIO()
        shape = (images, *self._shape)
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        return header.getvalue()


@contextmanager
def no_space_is_a_user_error(path: Path) -> Iterator[None]:
    """Turn a full disk (or quota, or file size limit) into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise UserError(
            f"cannot write {path}: {error.strerror}; free some space or choose another folder"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
