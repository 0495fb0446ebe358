"""Drawn chairs that stand in for the 3D Chairs renders where those cannot be had.

A chair is a set of six-sided solids in space, turned about the vertical, seen in perspective from
20° or 30° above as the renders are, shaded by the direction of each side, and drawn at four times
the final resolution. Space: x to the right of the sitter's front, y to the back, z up; the seat is
at height 1.
"""

import numpy as np

from betagvae.data.arrays import SIDE

FACTORS = {"width": 6, "size": 5, "azimuth": 31, "leg style": 4, "back height": 6, "elevation": 2}

_OVERSAMPLE = 4
_DISTANCE = 7.0  # from the camera to the middle of the chair
_MIDDLE = 1.0  # height that lands in the middle of the image
_LIGHT = np.array([-0.35, -0.62, 0.70])  # unit vector towards the light, fixed to the camera
_AMBIENT, _DIFFUSE = 35, 150  # grey levels
_SIDES = np.array(
    [[0, 1, 2, 3], [4, 7, 6, 5], [0, 4, 5, 1], [1, 5, 6, 2], [2, 6, 7, 3], [3, 7, 4, 0]]
)
"""Corners of each side, counter-clockwise from outside; 0..3 are the top, 4..7 the bottom."""
_LAYER = np.array([0, 0, 0, 0, 1, 2, 3, 3, 3])
"""Legs ×4, column, seat, post ×2, panel: horizontal planes keep these layers apart, and the camera
is above them, so a higher layer is never behind a lower one."""


def draw(classes: np.ndarray) -> np.ndarray:
    """Draw one chair for each row of factor classes.

    Parameters
    ----------
    classes
        int64 N×6, in the order of `FACTORS`.

    Returns
    -------
    uint8 N×1×64×64, on white.
    """
    width, size, azimuth, legs, back, elevation = classes.T
    parts_npc = _parts(np.linspace(0.42, 0.80, 6)[width], legs, np.linspace(0.35, 1.25, 6)[back])
    corners_npk3 = _turn(_corners(parts_npc), 2 * np.pi * azimuth / FACTORS["azimuth"])
    shade_nps = _shades(corners_npk3)
    screen_npk2, depth_np = _project(
        corners_npk3, np.deg2rad([20, 30])[elevation], np.linspace(0.72, 1.0, 5)[size]
    )
    order_np = np.lexsort((-depth_np, np.broadcast_to(_LAYER, depth_np.shape)), axis=1)
    images = [_paint(*chair) for chair in zip(screen_npk2, shade_nps, order_np, strict=True)]
    return np.stack(images)[:, None]


def _parts(width: np.ndarray, legs: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return the solids of each chair, N×9×10 as `_solid` describes them.

    A solid that a leg style lacks has no extent.
    """
    styles = np.stack([style(width) for style in (_straight, _splayed, _pedestal, _panels)])
    chosen = np.take_along_axis(styles, legs[None, None, None, :], axis=0)[0]  # 5×10×N
    seat = _solid((0, 0, width, 0.5, 0.88), (0, 0, width, 0.5, 1.0))
    lean, top = 0.44 + 0.18 * back, 1.0 + back  # the back leans backwards
    posts = [
        _solid((x, 0.44, 0.06, 0.06, 1.0), (x, lean, 0.06, 0.06, top))
        for x in (0.06 - width, width - 0.06)
    ]
    panel = _solid(
        (0, 0.44 + 0.25 * (lean - 0.44), width - 0.12, 0.045, 1.0 + 0.25 * back),
        (0, lean, width - 0.12, 0.045, top),
    )
    return np.concatenate([chosen, np.stack([seat, *posts, panel])]).transpose(2, 0, 1)


def _solid(lower: tuple, upper: tuple) -> np.ndarray:
    """Return a solid between two level rectangles, 10×N.

    Each rectangle is given by its centre x, y, half width, half depth and height; numbers or N.
    """
    return np.stack(np.broadcast_arrays(*lower, *upper))


def _straight(width: np.ndarray) -> np.ndarray:
    """Return four thick upright legs, 5×10×N."""
    return _four_legs(width - 0.08, 0.42, 0.08, width - 0.08, 0.42, 0.08)


def _splayed(width: np.ndarray) -> np.ndarray:
    """Return four thin legs that spread and taper, 5×10×N."""
    return _four_legs(width + 0.10, 0.60, 0.035, width - 0.15, 0.34, 0.07)


def _four_legs(
    x_low: np.ndarray, y_low: float, half_low: float, x_top: np.ndarray, y_top: float, half: float
) -> np.ndarray:
    legs = [
        _solid(
            (i * x_low, j * y_low, half_low, half_low, 0.0),
            (i * x_top, j * y_top, half, half, 0.88),
        )
        for i in (-1, 1)
        for j in (-1, 1)
    ]
    return np.stack([*legs, _nothing(x_low)])


def _pedestal(width: np.ndarray) -> np.ndarray:
    """Return a cross of four feet under a column, 5×10×N."""
    half = width * 0 + 0.29
    feet = [
        _solid((i * 0.29, j * 0.29, *sides, 0.0), (i * 0.29, j * 0.29, *sides, 0.10))
        for i, j, sides in (
            (-1, 0, (half, 0.05)),
            (1, 0, (half, 0.05)),
            (0, -1, (0.05, half)),
            (0, 1, (0.05, half)),
        )
    ]
    return np.stack([*feet, _solid((0, 0, 0.08, 0.08, 0.10), (0, 0, 0.08, 0.08, half * 0 + 0.88))])


def _panels(width: np.ndarray) -> np.ndarray:
    """Return two closed sides instead of legs, 5×10×N."""
    sides = [
        _solid((x, 0, 0.05, 0.5, 0.0), (x, 0, 0.05, 0.5, 0.88))
        for x in (0.05 - width, width - 0.05)
    ]
    return np.stack([*sides, *[_nothing(width)] * 3])


def _nothing(width: np.ndarray) -> np.ndarray:
    return np.zeros((10, len(width)))


def _corners(parts_npc: np.ndarray) -> np.ndarray:
    """Return the corners of each solid, N×P×8×3, in the order that `_SIDES` names."""
    lower_npc, upper_npc = parts_npc[..., :5], parts_npc[..., 5:]
    x_sign, y_sign = np.array([-1, 1, 1, -1]), np.array([-1, -1, 1, 1])
    rectangles = [
        np.stack(
            np.broadcast_arrays(
                part[..., 0:1] + x_sign * part[..., 2:3],
                part[..., 1:2] + y_sign * part[..., 3:4],
                part[..., 4:5],
            ),
            axis=-1,
        )
        for part in (upper_npc, lower_npc)
    ]
    return np.concatenate(rectangles, axis=2)


def _turn(corners_npk3: np.ndarray, angle_n: np.ndarray) -> np.ndarray:
    """Turn about the vertical by an angle in radians."""
    x, y, z = np.moveaxis(corners_npk3, -1, 0)
    cosine, sine = (f(angle_n)[:, None, None] for f in (np.cos, np.sin))
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=-1)


def _shades(corners_npk3: np.ndarray) -> np.ndarray:
    """Return the grey level of each side, N×P×6: ambient light and one distant lamp."""
    sides = corners_npk3[:, :, _SIDES]  # N×P×6×4×3
    # Diagonals, not edges: an edge may have no length, a diagonal of a visible side has.
    normal = np.cross(sides[..., 2, :] - sides[..., 0, :], sides[..., 3, :] - sides[..., 1, :])
    length = np.maximum(np.linalg.norm(normal, axis=-1), 1e-9)
    return _AMBIENT + _DIFFUSE * np.clip(normal @ _LIGHT / length, 0, 1)


def _project(
    corners_npk3: np.ndarray, elevation_n: np.ndarray, size_n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel positions on the large canvas, N×P×8×2, and the solids' mean depths, N×P."""
    x, y, z = np.moveaxis(corners_npk3, -1, 0)
    z = z - _MIDDLE
    cosine, sine = (f(elevation_n)[:, None, None] for f in (np.cos, np.sin))
    depth = y * cosine - z * sine
    pixels = _OVERSAMPLE * SIDE * 0.295 * size_n[:, None, None] * _DISTANCE / (_DISTANCE + depth)
    middle = _OVERSAMPLE * SIDE / 2
    screen = [middle + pixels * x, middle - pixels * (y * sine + z * cosine)]
    return np.stack(screen, axis=-1), depth.mean(axis=-1)


def _paint(screen_pk2: np.ndarray, shade_ps: np.ndarray, order_p: np.ndarray) -> np.ndarray:
    """Draw the visible sides of each solid from the farthest to the nearest, 64×64."""
    # Here, since whoever only reads what the factors are needs no brush.
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (_OVERSAMPLE * SIDE, _OVERSAMPLE * SIDE), 255)
    brush = ImageDraw.Draw(canvas)
    sides = screen_pk2[:, _SIDES]  # P×6×4×2
    (ax, ay), (bx, by) = (np.moveaxis(sides[:, :, i + 2] - sides[:, :, i], -1, 0) for i in (0, 1))
    faces_camera = ax * by - ay * bx < -1e-9  # the sense of rotation flips, since rows go down
    for part in order_p:
        for side in np.flatnonzero(faces_camera[part]):
            brush.polygon(sides[part, side].ravel().tolist(), fill=int(shade_ps[part, side]))
    return np.asarray(canvas.reduce(_OVERSAMPLE))
