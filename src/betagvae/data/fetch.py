"""Getting a published file: the user's own copy first, then one that is there, then each source."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from betagvae.data.arrays import no_space_is_a_user_error
from betagvae.data.parallel import meanwhile
from betagvae.data.published import Published
from betagvae.errors import UserError

logger = logging.getLogger(__name__)


class Located(NamedTuple):
    """A file that is there, and whose hashes another process computes."""

    path: Path
    record: Callable[[], dict[str, Any]]
    """Waits for the hashes; returns the record of `Obtained`, or raises `UserError` when the file
    must not be used."""


class Obtained(NamedTuple):
    """A file that is there."""

    path: Path
    record: dict[str, Any]
    """What the array's JSON keeps of it: ``bytes``, ``md5``, ``sha256``, ``as_published``."""


def obtain(
    file: Published, *, own: Path | None, extra_urls: tuple[str, ...], folder: Path, key: str
) -> Obtained:
    """Return the user's own copy, the copy downloaded earlier, or a fresh download.

    Parameters
    ----------
    file
        What is wanted.
    own
        The user's own copy; used as it is, whatever its hash, and nothing is downloaded.
    extra_urls
        Sources to try before the known ones.
    folder
        Where downloads are kept.
    key
        The configuration key of ``own``, to be named in messages.

    Raises
    ------
    UserError
        When the file cannot be had: what each source answered, and what to do.
    """
    located = locate(file, own=own, extra_urls=extra_urls, folder=folder, key=key)
    return Obtained(located.path, located.record())


def locate(
    file: Published, *, own: Path | None, extra_urls: tuple[str, ...], folder: Path, key: str
) -> Located:
    """Do as `obtain`, but for waiting for the hashes of a file that is there already.

    Nothing made of it may get its final name before `Located.record` was called.
    """
    if own is not None:
        return _own_copy(file, own, key)
    path = folder / file.name
    if path.exists():
        return _kept_copy(file, path, key)
    with no_space_is_a_user_error(path):
        folder.mkdir(parents=True, exist_ok=True)
    # Here, since what is there already, or drawn, needs no network.
    from betagvae.data.download import download

    record = download(file, (*extra_urls, *file.urls), path, key)
    return Located(path, lambda: record)


def _own_copy(file: Published, own: Path, key: str) -> Located:
    if not own.is_file():
        raise UserError(f"{own} is not a file: set {key} to your copy of {file.name}, or to null")
    hashed = meanwhile(partial(file.record, own))

    def checked() -> dict[str, Any]:
        record = hashed()
        if not record["as_published"]:
            logger.warning(
                "%s is not the published %s: it has %s",
                *(own, file.name, file.difference(record)),
            )
        return record

    return Located(own, checked)


def _kept_copy(file: Published, path: Path, key: str) -> Located:
    hashed = meanwhile(partial(file.record, path))

    def checked() -> dict[str, Any]:
        record = hashed()
        if not record["as_published"] and file.certain:
            raise UserError(
                f"{path} has {file.difference(record)}: delete it to download it again, or set "
                f"{key} to it to use it as it is"
            )
        return record

    return Located(path, checked)
