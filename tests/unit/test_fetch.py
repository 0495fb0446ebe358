import hashlib
import logging
import resource
import socket
import subprocess
import sys

import loopback
import numpy as np
import pytest
from loopback import serving

from betagvae.data import download
from betagvae.data.fetch import obtain
from betagvae.data.published import Published
from betagvae.errors import UserError

CONTENT = np.random.default_rng(0).bytes(3_000_000)
OTHER = np.random.default_rng(1).bytes(len(CONTENT))
SIZE = len(CONTENT)
HALF = 24 * 65_536  # whole chunks, so that none is lost when a connection breaks
KEY = "datasets.x.data.path"


@pytest.fixture(autouse=True)
def _direct_and_impatient(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "TIMEOUT", (0.5, 0.3))


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "downloads"


def published(*urls, size=SIZE, certain=True, algorithm="md5"):
    digest = hashlib.new(algorithm, CONTENT).hexdigest()
    return Published("x.zip", urls, digest, bytes=size, certain=certain)


def get(file, folder, own=None, extra=()):
    return obtain(file, own=own, extra_urls=extra, folder=folder, key=KEY)


def refused(file, folder):
    """Return the one line that the user sees; nothing has the final name."""
    with pytest.raises(UserError) as error:
        get(file, folder)
    assert "\n" not in str(error.value)
    assert not (folder / "x.zip").exists()
    return str(error.value)


def left(folder):
    """Return the size of what is kept for the next call."""
    part = folder / "x.zip.part"
    return part.stat().st_size if part.exists() else 0


def test_download(server, folder, capfd):
    url = server.url("/x", loopback.whole(CONTENT))
    path, record = get(published(url), folder)
    assert path.read_bytes() == CONTENT
    assert record == {
        "bytes": len(CONTENT),
        "md5": hashlib.md5(CONTENT).hexdigest(),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "as_published": True,
        "url": url,
    }
    assert [file.name for file in folder.iterdir()] == ["x.zip"]
    assert capfd.readouterr().err == ""  # nobody is looking, so no progress bar


def test_the_hash_may_be_sha256(server, folder):
    wrong = server.url("/wrong", loopback.whole(OTHER))
    good = server.url("/good", loopback.whole(CONTENT))
    assert get(published(wrong, good, algorithm="sha256"), folder).record["url"] == good
    (folder / "x.zip").write_bytes(OTHER)
    with pytest.raises(UserError, match=f"has SHA-256 {hashlib.sha256(OTHER).hexdigest()} instead"):
        get(published(good, algorithm="sha256"), folder)


def test_second_call_downloads_nothing(server, folder):
    file = published(server.url("/x", loopback.whole(CONTENT)))
    get(file, folder)
    get(file, folder)
    assert len(server.asked) == 1


def test_extra_sources_come_first(server, folder):
    known = server.url("/known", loopback.whole(CONTENT))
    extra = server.url("/extra", loopback.whole(CONTENT))
    get(published(known), folder, extra=(extra,))
    assert server.asked == [("/extra", None)]


def test_next_source_serves_when_others_fail(server, folder):
    urls = [
        server.url("/gone", loopback.status(404)),
        server.url("/page", loopback.page("Quota exceeded")),
        server.url("/wrong", loopback.whole(OTHER)),
        server.url("/good", loopback.whole(CONTENT)),
    ]
    assert get(published(*urls), folder).path.read_bytes() == CONTENT


def test_all_answers_are_told(server, folder):
    urls = [
        server.url("/gone", loopback.status(404)),
        server.url("/ill", loopback.status(500)),
        server.url("/page", loopback.page("Google Drive -\n Quota &amp; more")),
    ]
    line = refused(published(*urls), folder)
    assert f"{urls[0]}: answered 404" in line
    assert f"{urls[1]}: answered 500" in line
    assert f"{urls[2]}: sent a web page (Google Drive - Quota & more) instead" in line
    assert f"Download it by hand, for example from {urls[0]}" in line
    assert f"set {KEY}" in line
    assert left(folder) == 0


@pytest.mark.parametrize("size", [SIZE, None])
def test_page_that_calls_itself_a_zip(server, folder, size):
    url = server.url("/x", loopback.disguised_page("Sign in"))
    assert "sent a web page (Sign in)" in refused(published(url, size=size), folder)
    assert left(folder) == 0


def test_consent_form_is_answered(server, folder):
    form = (
        '<form id="download-form" action="/file"><input type="submit" value="Download anyway"/>'
        '<input type="hidden" name="id" value="7"><input type="hidden" name="confirm" value="t">'
        "</form>"
    )
    url = server.url("/uc", loopback.page("Virus scan warning", form))
    server.url("/file", loopback.whole(CONTENT))
    assert get(published(url), folder).path.read_bytes() == CONTENT
    assert server.asked[-1] == ("/file?id=7&confirm=t", None)


def test_consent_that_leads_nowhere(server, folder):
    form = '<form id="download-form" action="/file"></form>'
    url = server.url("/uc", loopback.page("Virus scan warning", form))
    server.url("/file", loopback.page("Quota exceeded"))
    assert "Quota exceeded" in refused(published(url), folder)


def test_wrong_bytes_are_thrown_away(server, folder):
    url = server.url("/x", loopback.whole(OTHER), loopback.whole(CONTENT))
    assert "wrong content" in refused(published(url), folder)
    assert left(folder) == 0
    assert get(published(url), folder).path.read_bytes() == CONTENT


def test_file_of_another_size_is_not_even_begun(server, folder):
    url = server.url("/x", loopback.whole(CONTENT[:HALF]))
    assert f"offers {HALF} bytes instead of {len(CONTENT)}" in refused(published(url), folder)
    assert left(folder) == 0


def test_short_file_of_untold_length(server, folder):
    url = server.url("/x", loopback.without_length(CONTENT[:HALF]))
    line = refused(published(url), folder)
    assert f"ended early ({HALF} of {len(CONTENT)} bytes" in line


def test_refused_connection(folder):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        assert "Connection refused" in refused(published(url), folder)


def test_hanging_server(server, folder):
    url = server.url("/x", loopback.hang)
    assert "did not answer" in refused(published(url), folder)


def test_unknown_host_and_bad_url(folder):
    line = refused(published("http://nowhere.invalid/x", "nonsense"), folder)
    assert "nowhere.invalid/x: cannot connect" in line
    assert "nonsense: cannot connect" in line


def test_dropped_connection_goes_on_in_the_same_call(server, folder):
    url = server.url("/x", loopback.ranged(CONTENT, drop_after=HALF), loopback.ranged(CONTENT))
    assert get(published(url), folder).path.read_bytes() == CONTENT
    (_, first), (_, second) = server.asked
    assert first is None
    assert second == f"bytes={HALF}-"


def test_resume_in_a_later_call_asks_for_the_rest_only(server, folder):
    url = server.url(
        "/x", loopback.ranged(CONTENT, drop_after=HALF), loopback.status(503), loopback.status(503)
    )
    assert f"({HALF} of {len(CONTENT)} bytes are there)" in refused(published(url), folder)
    server.url("/x", loopback.ranged(CONTENT))
    assert get(published(url), folder).path.read_bytes() == CONTENT
    assert server.asked[-1] == ("/x", f"bytes={HALF}-")


def start(folder, content):
    folder.mkdir()
    (folder / "x.zip.part").write_bytes(content)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(loopback.whole(CONTENT), id="range ignored"),
        pytest.param(loopback.ranged(CONTENT), id="range honoured"),
    ],
)
@pytest.mark.parametrize("size", [SIZE, None])
def test_resume(server, folder, answer, size):
    start(folder, CONTENT[:HALF])
    url = server.url("/x", answer)
    assert get(published(url, size=size), folder).path.read_bytes() == CONTENT
    assert server.asked == [("/x", f"bytes={HALF}-")]


def test_another_range_than_asked_for_is_not_used(server, folder):
    start(folder, CONTENT[:HALF])
    url = server.url("/x", loopback.ranged(CONTENT, shift=-10))
    assert get(published(url), folder).path.read_bytes() == CONTENT
    assert server.asked[-1] == ("/x", None)


@pytest.mark.parametrize("certain", [True, False])
@pytest.mark.parametrize("size", [SIZE, None])
def test_rest_of_another_file_starts_again(server, folder, size, certain):
    start(folder, OTHER[:HALF])
    url = server.url("/x", loopback.ranged(CONTENT))
    file = published(url, size=size, certain=certain)
    assert get(file, folder).path.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT, CONTENT + b"more"])
@pytest.mark.parametrize("size", [SIZE, None])
def test_part_that_is_complete_or_too_long(server, folder, content, size):
    start(folder, content)
    url = server.url("/x", loopback.ranged(CONTENT))
    assert get(published(url, size=size), folder).path.read_bytes() == CONTENT


def test_doubtful_hash_is_recorded_not_refused(server, folder, caplog):
    url = server.url("/x", loopback.whole(OTHER))
    path, record = get(published(url, certain=False), folder)
    assert path.read_bytes() == OTHER
    assert not record["as_published"]
    assert hashlib.md5(CONTENT).hexdigest() in caplog.text


def test_full_disk(server, folder):
    folder.mkdir()
    (folder / "x.zip.part").symlink_to("/dev/full")
    url = server.url("/x", loopback.whole(CONTENT))
    assert "No space left on device" in refused(published(url), folder)


def test_too_little_space_is_seen_before(server, folder, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("", (), {"free": 1000})())
    url = server.url("/x", loopback.whole(CONTENT))
    assert "free some space" in refused(published(url), folder)
    assert left(folder) == 0


def test_file_size_limit(server, folder):
    """A limit that the system really enforces, in a process of its own."""
    url = server.url("/x", loopback.whole(CONTENT))
    script = (
        "import sys; from pathlib import Path; from betagvae.data.fetch import *\n"
        f"obtain(Published('x.zip', ({url!r},), 'md5'), own=None, extra_urls=(),"
        " folder=Path(sys.argv[1]), key='k')"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script, folder],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, HALF)),
        capture_output=True,
        text=True,
    )
    assert outcome.stderr.splitlines()[-1].startswith("betagvae.errors.UserError: cannot write")
    assert "File too large" in outcome.stderr
    assert not (folder / "x.zip").exists()


def test_own_copy_is_used_without_network(folder, tmp_path, caplog):
    own = tmp_path / "mine.zip"
    own.write_bytes(CONTENT)
    assert get(published(), folder, own=own).path == own
    assert not caplog.records
    assert not folder.exists()


def test_own_copy_with_another_hash_is_used_and_warned_about(folder, tmp_path, caplog):
    own = tmp_path / "mine.zip"
    own.write_bytes(OTHER)
    with caplog.at_level(logging.WARNING):
        _, record = get(published(), folder, own=own)
    assert not record["as_published"]
    assert hashlib.md5(OTHER).hexdigest() in caplog.text


def test_own_copy_that_is_not_there(folder, tmp_path):
    with pytest.raises(UserError, match=KEY):
        get(published(), folder, own=tmp_path / "nowhere.zip")


def test_damaged_copy_in_the_download_folder(folder):
    folder.mkdir()
    (folder / "x.zip").write_bytes(OTHER)
    with pytest.raises(UserError, match="delete it to download it again"):
        get(published(), folder)
    assert (folder / "x.zip").read_bytes() == OTHER  # it may be the user's
