"""An HTTP server on loopback that misbehaves as told."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers a path as its list of answers says, the last one again and again."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        answers = self.server.answers[self.path.partition("?")[0]]
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *_):
        pass

    def reply(self, code: int, body: bytes, length: int | None = None, **headers: str):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Loopback(ThreadingHTTPServer):
    """The server; ``asked`` holds the path and Range header of each request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.stopping = threading.Event()

    def url(self, path: str, *answers: Answer) -> str:
        """Serve these answers, one a request, under a path."""
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_port}{path}"


@contextmanager
def serving() -> Iterator[Loopback]:
    with Loopback() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


def whole(content: bytes) -> Answer:
    """All of it, whatever range was asked for."""
    return lambda handler: handler.reply(200, content, Content_Type="application/zip")


def without_length(content: bytes) -> Answer:
    """All of it, without saying how much there is."""

    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def ranged(content: bytes, shift: int = 0, drop_after: int | None = None) -> Answer:
    """The range asked for; or, wrongly, one shifted; the connection may break in the middle."""

    def answer(handler):
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(asked[1]) + shift if asked else 0
        if start >= len(content):
            handler.reply(416, b"", Content_Range=f"bytes */{len(content)}")
            return
        body = content[start:]
        told = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        handler.reply(206 if asked else 200, body[:drop_after], len(body), **told if asked else {})
        handler.close_connection = True

    return answer


def page(title: str, body: str = "") -> Answer:
    """A web page with status 200."""
    content = f"<!DOCTYPE html><html><head><title>{title}</title></head>{body}</html>".encode()
    return lambda handler: handler.reply(200, content, Content_Type="text/html; charset=utf-8")


def disguised_page(title: str) -> Answer:
    """A web page that calls itself a zip."""
    return whole(f"<!DOCTYPE html><html><title>{title}</title></html>".encode())


def status(code: int) -> Answer:
    """An error."""
    return lambda handler: handler.reply(code, b"no")


def hang(handler: Handler) -> None:
    """No answer until the server stops."""
    handler.server.stopping.wait(30)
