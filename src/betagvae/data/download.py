"""Downloading a published file from one source after another.

A download grows in a ``.part`` file beside the final name, goes on where it stopped if the server
can, and takes its final name only after its hash was checked.
"""

import html
import itertools
import logging
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin

import requests
from tqdm import tqdm

from betagvae.data.arrays import no_space_is_a_user_error
from betagvae.data.published import Published
from betagvae.errors import UserError

logger = logging.getLogger(__name__)

TIMEOUT = (15.0, 60.0)
"""Longest wait for a connection and for the next bytes, seconds."""
_ATTEMPTS = 5  # connections to one source, each after the one before brought some bytes
_CHUNK = 1 << 16  # bytes; a broken connection loses less than this


class _SourceError(Exception):
    """Why one source did not serve; the next one may."""


def download(file: Published, urls: tuple[str, ...], path: Path, key: str) -> dict[str, Any]:
    """Try each source in turn.

    Parameters
    ----------
    file
        What is wanted.
    urls
        Sources, in the order to try.
    path
        Its final name, in a folder that is there.
    key
        The configuration key of the user's own copy, to be named in messages.

    Returns
    -------
    What `Published.record` says of it, and the ``url`` that it came from.

    Raises
    ------
    UserError
        When no source has it: what each answered, and what to do.
    """
    part = path.with_name(path.name + ".part")
    answers = []
    for url in dict.fromkeys(urls):
        try:
            record = _from_source(file, url, part)
        except _SourceError as error:
            logger.warning("%s: %s", url, error)
            answers.append(f"{url}: {error}")
        else:
            part.replace(path)
            return {**record, "url": url}
    raise UserError(
        f"cannot get {file.name} ({'; '.join(answers)}). Download it by hand, for example from "
        f"{file.urls[0]} in a browser, and set {key} in the configuration to its path"
    )


def _from_source(file: Published, url: str, part: Path) -> dict[str, Any]:
    """Complete the ``.part`` from one source and check its hash."""
    resumed = _size(part) > 0
    logger.info("fetching %s from %s", file.name, url)
    _complete(file, url, part)
    record = file.record(part)
    if record["as_published"]:
        return record
    if resumed:
        # The beginning may have come from another source or another version of the file.
        part.unlink()
        return _from_source(file, url, part)
    if file.certain:
        part.unlink()
        raise _SourceError(f"wrong content: {file.difference(record)}")
    logger.warning("%s has %s", file.name, file.difference(record))
    return record


def _complete(file: Published, url: str, part: Path) -> None:
    """Connect again, as long as each connection brings something, until all is there."""
    reason = ""
    for _ in range(_ATTEMPTS):
        before = _size(part)
        if file.bytes is not None and before >= file.bytes:
            return
        try:
            _receive(file, url, part)
        except requests.RequestException as error:
            reason = _explain(error)
        else:
            if file.bytes is None:
                return
            reason = "the connection ended early"
        if _size(part) <= before:
            break
    if file.bytes is None or _size(part) < file.bytes:
        raise _SourceError(f"{reason} ({_size(part)} of {file.bytes or 'unknown'} bytes are there)")


def _receive(file: Published, url: str, part: Path) -> None:
    """Append what one connection brings."""
    start = _size(part)
    with requests.Session() as session:
        response = _ask(session, url, start)
        promised = response.headers.get("Content-Range", "")
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if promised == f"bytes */{start}":
                return  # all was there already
        elif response.status_code == requests.codes.partial_content:
            if promised.startswith(f"bytes {start}-"):
                _save(file, response, part, start)
                return
        else:
            response.raise_for_status()
            _save(file, response, part, 0)
            return
    part.unlink()  # the server cannot go on from here
    _receive(file, url, part)


def _ask(session: requests.Session, url: str, start: int) -> requests.Response:
    """Ask for the file from a byte on; a page that only asks for consent is answered."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    if not _is_page(response):
        return response
    page = _page(response)
    form = _ConsentForm.read(page)
    if form.action:
        target = urljoin(response.url, form.action)
        response = session.get(
            target, params=form.fields, headers=headers, stream=True, timeout=TIMEOUT
        )
        if not _is_page(response):
            return response
        page = _page(response)
    raise _SourceError(_describe(page))


def _is_page(response: requests.Response) -> bool:
    return response.ok and response.headers.get("Content-Type", "").startswith("text/html")


def _page(response: requests.Response) -> str:
    page = next(response.iter_content(_CHUNK), b"")
    response.close()
    return page.decode("utf-8", "replace")


def _describe(page: str) -> str:
    title = re.search(r"<title[^>]*>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
    words = " ".join(html.unescape(title[1]).split())[:80] if title else "no title"
    return f"sent a web page ({words}) instead of the file"


class _ConsentForm(HTMLParser):
    """The form by which Google Drive asks whether to download a file too big for its scanner."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    @classmethod
    def read(cls, page: str) -> Self:
        form = cls()
        form.feed(page)
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the target of the form and its hidden fields."""
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and values.get("id") == "download-form":
            self.action = values.get("action", "")
        elif tag == "input" and values.get("type") == "hidden" and self.action:
            self.fields[values.get("name", "")] = values.get("value", "")


def _save(file: Published, response: requests.Response, part: Path, start: int) -> None:
    """Write the body behind the first ``start`` bytes of the ``.part``."""
    chunks = response.iter_content(_CHUNK)
    first = next(chunks, b"")
    if start == 0 and first.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise _SourceError(_describe(first.decode("utf-8", "replace")))
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else file.bytes
    if file.bytes is not None and total != file.bytes:
        raise _SourceError(f"offers {total} bytes instead of {file.bytes}")
    _check_space(file, part, (total or 0) - start)
    progress = tqdm(
        desc=file.name, total=total, initial=start, unit="B", unit_scale=True, disable=None
    )
    with no_space_is_a_user_error(part), part.open("ab" if start else "wb") as output, progress:
        for chunk in itertools.chain([first], chunks):
            output.write(chunk)
            progress.update(len(chunk))


def _check_space(file: Published, part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise UserError(
            f"{file.name} needs {needed / 1e9:.1f} GB more but {part.parent} has {free / 1e9:.1f} "
            "GB free: free some space or set data.download_dir to another folder"
        )


def _explain(error: requests.RequestException) -> str:
    """Say in a few words what went wrong on the way."""
    if isinstance(error, requests.HTTPError):
        return f"answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"did not answer within {TIMEOUT[0]:g} s, or sent nothing for {TIMEOUT[1]:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended early"
    system = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    return f"cannot connect: {system[1] if system else ' '.join(str(error).split())[:120]}"


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
