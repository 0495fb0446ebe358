"""Drawn faces that stand in for CelebA where that cannot be had.

A face is a stack of soft-edged ellipses and curves, one painted over the other, with the edge of
each laid over the width of a pixel, so that no oversampling is needed. Turning the head moves the
features over a rounded surface, each by its own depth. Space: x to the right, y down, the image
reaches from −1 to 1.
"""

from dataclasses import dataclass

import numpy as np

from betagvae.data.arrays import SIDE

FACTORS = {
    "background": 8,
    "skin tone": 6,
    "hair colour": 6,
    "hair length": 5,
    "head turn": 9,
    "face width": 4,
    "eye size": 4,
    "smile": 5,
}

_PIXEL = 2 / SIDE
_AXIS = ((np.arange(SIDE) + 0.5) * _PIXEL - 1).astype(np.float32)
_Y, _X = (axis[None] for axis in np.meshgrid(_AXIS, _AXIS, indexing="ij"))  # 1×64×64

_WHITE, _BLACK, _BLUSH, _LIPS, _IRIS, _SHIRT = (
    np.array(colour, np.float32)[None, :, None, None]
    for colour in (
        (0.95, 0.94, 0.93),
        (0.05, 0.04, 0.05),
        (1.02, 0.80, 0.78),
        (0.92, 0.52, 0.52),
        (0.30, 0.22, 0.16),
        (0.24, 0.27, 0.36),
    )
)
_BACKGROUND = [
    (0.80, 0.78, 0.74),
    (0.35, 0.38, 0.42),
    (0.55, 0.70, 0.86),
    (0.16, 0.22, 0.45),
    (0.40, 0.58, 0.38),
    (0.72, 0.28, 0.25),
    (0.88, 0.72, 0.42),
    (0.10, 0.09, 0.11),
]
_SKIN = [
    (0.98, 0.85, 0.77),
    (0.94, 0.77, 0.65),
    (0.86, 0.67, 0.52),
    (0.73, 0.52, 0.37),
    (0.55, 0.37, 0.26),
    (0.38, 0.25, 0.18),
]
_HAIR = [
    (0.90, 0.78, 0.50),
    (0.68, 0.48, 0.25),
    (0.58, 0.23, 0.10),
    (0.36, 0.21, 0.12),
    (0.10, 0.07, 0.06),
    (0.70, 0.69, 0.68),
]


def draw(classes: np.ndarray) -> np.ndarray:
    """Draw one face for each row of factor classes.

    Parameters
    ----------
    classes
        int64 N×8, in the order of `FACTORS`.

    Returns
    -------
    uint8 N×3×64×64, RGB.
    """
    face = _Face.from_classes(classes)
    image = _background(face)
    for paint in (_hair_behind, _body, _ears, _head, _mouth, _nose, _eyes, _hair_in_front):
        paint(image, face)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class _Face:
    """Parameters of N faces; colours N×3×1×1, all others N×1×1."""

    background: np.ndarray
    skin: np.ndarray
    hair: np.ndarray
    hair_length: np.ndarray
    """How far down it reaches, y."""
    turn: np.ndarray
    """Radians, positive to the right of the image."""
    half_width: np.ndarray
    eye: np.ndarray
    """Half width of an eye."""
    smile: np.ndarray
    """−0.5 (frown) to 1."""

    @classmethod
    def from_classes(cls, classes: np.ndarray) -> "_Face":
        background, skin, hair, length, turn, width, eye, smile = classes.T
        return cls(
            background=_colour(_BACKGROUND, background),
            skin=_colour(_SKIN, skin),
            hair=_colour(_HAIR, hair),
            hair_length=_spread(length, -0.35, 0.95, FACTORS["hair length"]),
            turn=_spread(turn, -0.6, 0.6, FACTORS["head turn"]),
            half_width=_spread(width, 0.40, 0.54, FACTORS["face width"]),
            eye=_spread(eye, 0.075, 0.145, FACTORS["eye size"]),
            smile=_spread(smile, -0.5, 1.0, FACTORS["smile"]),
        )

    def x(self, side: float, depth: float = 1.0) -> np.ndarray:
        """Return where a feature of the turned head lies.

        Parameters
        ----------
        side
            Place on the face seen from the front, −1 (left cheek) to 1.
        depth
            Distance from the head's axis in units of its radius.
        """
        return self.half_width * depth * np.sin(np.arcsin(side) + self.turn)

    def narrowing(self, side: float) -> np.ndarray:
        """Return by how much a feature at ``side`` is foreshortened, 0..1."""
        return np.maximum(np.cos(np.arcsin(side) + self.turn), 0.15)


def _spread(classes: np.ndarray, low: float, high: float, size: int) -> np.ndarray:
    """Space the classes evenly from low to high, N×1×1."""
    return np.linspace(low, high, size, dtype=np.float32)[classes][:, None, None]


def _colour(palette: list[tuple[float, float, float]], classes: np.ndarray) -> np.ndarray:
    return np.array(palette, np.float32)[classes][:, :, None, None]


def _over(image: np.ndarray, cover: np.ndarray, colour: np.ndarray) -> None:
    """Paint a colour (N×3×1×1 or N×3×64×64) over the image where cover (N×64×64) is 1."""
    image += cover[:, None] * (colour - image)


def _edge(distance: np.ndarray, softness: float = 1.0) -> np.ndarray:
    """Return the cover of a pixel whose centre lies this far outside an edge."""
    return np.clip(0.5 - distance / (softness * _PIXEL), 0, 1)


def _ellipse(
    x: np.ndarray, y: np.ndarray, half_width: np.ndarray, half_height: np.ndarray
) -> np.ndarray:
    """Return the distance outside an ellipse around (0, 0), to first order; N×64×64."""
    u, v = x / half_width, y / half_height
    radius = np.sqrt(u * u + v * v) + 1e-6
    slope = np.sqrt((u / half_width) ** 2 + (v / half_height) ** 2) + 1e-6
    return radius * (radius - 1) / slope


def _rows(image: np.ndarray, top: float, bottom: float) -> tuple[np.ndarray, ...]:
    """Return the rows of the image between two heights, as a view, with their x and y."""
    rows = slice(*np.searchsorted(_AXIS, [top, bottom]))
    return image[:, :, rows], _X[:, rows], _Y[:, rows]


def _background(face: _Face) -> np.ndarray:
    """Return N×3×64×64, darker towards the bottom."""
    return face.background * (1.0 - 0.18 * (_Y + 1) / 2)[:, None]


def _strands(face: _Face, x: np.ndarray) -> np.ndarray:
    """Return the hair's colour with a hint of strands and light from above, N×3×64×64."""
    light = 0.95 + 0.10 * np.sin(x * 34) * np.sin(x * 13 + _Y * 3) - 0.16 * _Y
    return face.hair * light[:, None]


def _hair_behind(image: np.ndarray, face: _Face) -> None:
    x = _X - face.x(0.0, 1.0) * -0.12
    cap = _ellipse(x, _Y + 0.16, face.half_width + 0.17, np.float32(0.70))
    fall = np.maximum(np.abs(x) - (face.half_width + 0.17 + 0.05 * _Y), _Y - face.hair_length)
    fall = np.maximum(fall, -0.10 - _Y)
    reach = np.minimum(cap, fall)
    cover = _edge(np.maximum(reach, _Y - np.maximum(face.hair_length, -0.1)), 2.0)
    _over(image, cover, 0.75 * _strands(face, x))


def _body(image: np.ndarray, face: _Face) -> None:
    shoulders = _edge(_ellipse(_X, _Y - 1.25, np.float32(0.95), np.float32(0.52)), 1.5)
    _over(image, shoulders, _SHIRT)
    neck = np.maximum(
        np.abs(_X) - (face.half_width * 0.5 + 0.25 * np.maximum(_Y - 0.75, 0)), _Y - 0.92
    )
    _over(image, _edge(np.maximum(neck, 0.2 - _Y), 1.5), face.skin * 0.74)


def _ears(image: np.ndarray, face: _Face) -> None:
    for side in (-1, 1):
        shown = np.clip(0.5 - side * face.turn * 2.2, 0, 1)  # the far ear is hidden
        x = _X - face.half_width * (side * 0.99 - 0.25 * face.turn)
        ear = _edge(_ellipse(x, _Y - 0.05, np.float32(0.075), np.float32(0.14)), 1.3)
        _over(image, ear * shown, face.skin * 0.86)


def _head(image: np.ndarray, face: _Face) -> None:
    chin = 0.07 * np.sin(face.turn)
    jaw = 1 - 0.30 * np.clip(_Y - 0.1, 0, 1) ** 1.5  # narrower below
    x = _X - chin * np.clip(_Y + 0.3, 0, 1)
    head = _ellipse(x / jaw, _Y - 0.03, face.half_width, np.float32(0.69))
    u = (_X - 0.35 * face.half_width * np.sin(face.turn) + 0.10) / face.half_width
    light = 1.05 - 0.20 * u * u - 0.14 * np.clip(_Y + 0.1, 0, 1) ** 2
    _over(image, _edge(head, 1.3), face.skin * light[:, None])
    for side in (-0.62, 0.62):  # cheeks
        spot = ((_X - face.x(side)) / 0.16) ** 2 + ((_Y - 0.24) / 0.13) ** 2
        blush = 0.20 * np.exp(-spot) * face.narrowing(side)
        _over(image, blush * _edge(head), face.skin * _BLUSH)


def _mouth(image: np.ndarray, face: _Face) -> None:
    part, xs, ys = _rows(image, 0.20, 0.65)
    half = np.float32(0.17) * (1 + 0.15 * face.smile) * face.narrowing(0.0)
    u = np.clip((xs - face.x(0.0, 1.02)) / half, -1.3, 1.3)
    line = 0.41 + 0.05 * face.smile - 0.09 * face.smile * u * u  # corners rise with a smile
    fullness = np.clip(1 - u * u, 0, None)
    lips = np.maximum(
        line - 0.035 * fullness - ys, ys - line - (0.05 + 0.02 * face.smile) * fullness
    )
    ends = (np.abs(u) - 1) * half
    _over(part, _edge(np.maximum(lips - 0.008, ends), 1.4), face.skin * _LIPS)
    teeth = np.clip(face.smile, 0, 1) * 0.045 * fullness
    open_ = _edge(np.maximum(np.abs(ys - line - 0.008) - teeth, ends), 1.2)
    _over(part, open_ * np.clip(face.smile * 2, 0, 1), _WHITE)
    gap = _edge(np.maximum(np.abs(ys - line) - 0.008, ends), 1.2)
    _over(part, 0.75 * gap * np.clip(1 - face.smile, 0, 1), face.skin * 0.35)


def _nose(image: np.ndarray, face: _Face) -> None:
    part, xs, ys = _rows(image, -0.12, 0.35)
    tip, root = face.x(0.0, 1.22), face.x(0.0, 1.0)
    along = np.clip((ys + 0.12) / 0.32, 0, 1)  # 0 between the eyes, 1 at the tip
    x = xs - (root + (tip - root) * along)
    bridge = (along > 0) * (ys < 0.2) * np.exp(-(((x - 0.055) / 0.035) ** 2))
    _over(part, 0.22 * bridge * along, face.skin * 0.62)
    under = np.exp(-((x / 0.10) ** 2) - ((ys - 0.215) / 0.035) ** 2)
    _over(part, 0.55 * under, face.skin * 0.58)
    shine = np.exp(-(((x + 0.01) / 0.04) ** 2) - ((ys - 0.13) / 0.07) ** 2)
    _over(part, 0.30 * shine, np.minimum(face.skin * 1.2, 1))


def _eyes(image: np.ndarray, face: _Face) -> None:
    part, xs, ys = _rows(image, -0.45, 0.25)
    for side in (-0.43, 0.43):
        narrow = face.narrowing(side)
        x, y = (xs - face.x(side)) / narrow, ys + 0.09
        socket = np.exp(-((x / 0.19) ** 2) - (y / 0.11) ** 2)
        _over(part, 0.35 * socket, face.skin * 0.68)
        white = _ellipse(x, y, face.eye, face.eye * 0.58)
        _over(part, _edge(white, 1.2), _WHITE)
        gaze = x - 0.02 * np.sin(face.turn)
        iris = np.maximum(_ellipse(gaze, y, face.eye * 0.50, face.eye * 0.50), white)
        _over(part, _edge(iris, 1.2), _IRIS)
        pupil = _ellipse(gaze, y, face.eye * 0.24, face.eye * 0.24)
        _over(part, _edge(pupil, 1.2), _BLACK)
        lid = np.maximum(np.abs(white) - 0.012, y - 0.1 * face.eye)
        _over(part, 0.8 * _edge(lid, 1.2), face.skin * 0.25)
        arch = y + face.eye * 0.62 + 0.04 + 0.035 * (1 - (x / 0.16) ** 2)
        brow = np.maximum(np.abs(arch) - 0.018, np.abs(x) - 0.15)
        _over(part, 0.85 * _edge(brow, 1.4), face.hair * 0.7)


def _hair_in_front(image: np.ndarray, face: _Face) -> None:
    """Cover the skull but for an opening over the face, which turns with it."""
    x = _X - face.x(0.0, 1.0) * -0.12
    cap = _ellipse(x, _Y + 0.16, face.half_width + 0.10, np.float32(0.66))
    opening_x = (_X - face.x(0.0, 0.42)) / 0.98
    opening = _ellipse(opening_x, _Y - 0.22, face.half_width * 0.97, np.float32(0.72))
    sides = _Y - np.maximum(np.minimum(face.hair_length, 0.05), -0.25)
    hair = np.maximum(np.maximum(cap, -opening), sides)
    _over(image, _edge(hair, 1.8), _strands(face, _X - face.x(0.0, 0.42)))
