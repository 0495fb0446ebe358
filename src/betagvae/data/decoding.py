"""Decoding single images of an archive, or saying why they cannot be used."""

import io
from collections.abc import Callable
from typing import BinaryIO, TypeVar

import numpy as np

T = TypeVar("T")

Crop = tuple[int, int, int, int]
"""Left, top, right, bottom, pixels."""

Read = Callable[[BinaryIO, T], np.ndarray]
"""Reads one image, uint8 H×W×3, from the open archive, or raises `SkipError`."""


class SkipError(Exception):
    """An image that cannot be used; the message is the reason under which it is counted."""


def decode_by_pillow(data: bytes, kind: str, mode: str) -> np.ndarray:
    """Decode any image of a kind, ``JPEG`` or ``PNG``, to H×W×C bytes of a mode of Pillow's."""
    # Here, since drawn images, which a machine without this library may want, need no decoder.
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as file:
            return np.asarray(file.convert(mode))
    except Exception as error:  # of any kind, even an IndexError from a chunk that is too short
        raise SkipError(f"broken {kind}") from error
