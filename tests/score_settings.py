"""Sizes of scores for few images."""

from betagvae.settings.scores import ScoreSettings
from betagvae.settings.setting import declared


def for_few(images, **changes):
    """Return sizes of which none asks for more images than there are, unless changed."""
    sizes = declared(ScoreSettings).items()
    few = {name: min(d.default, images) for name, d in sizes if d.about.unit == "images"}
    return ScoreSettings(**{**few, **changes})
