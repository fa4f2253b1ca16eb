"""A hub on this machine: the few addresses that fetching a snapshot needs."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class WithHub:
    """Tests with a hub at an address of theirs and an empty cache."""

    @pytest.fixture(autouse=True)
    def own_hub_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_XET_CACHE"):
            monkeypatch.setattr(huggingface_hub.constants, name, str(tmp_path / "hub"))
        self.patch = monkeypatch

    def hub_is(self, address: str) -> None:
        self.patch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        files = address + "/{repo_id}/resolve/{revision}/{filename}"
        self.patch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)


@contextmanager
def serve(
    folder: Path, name: str, *, kind: str = "models", broken: str | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Serves `folder` as the model or data set `name`.

    Args:
        kind: `models` or `datasets`.
        broken: a file whose connection is cut in its middle.

    Yields:
        The hub's address, and the names of the files asked for so far.
    """
    asked: list[str] = []
    files = f"/{name}/resolve/" if kind == "models" else f"/{kind}/{name}/resolve/"

    class Hub(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if path == f"/api/{kind}/{name}/revision/main":
                self._send(json.dumps({"id": name, "sha": COMMIT}).encode(), with_body)
            elif path.startswith(f"/api/{kind}/{name}/tree/"):
                listed = [
                    {
                        "type": "file",
                        "path": file.relative_to(folder).as_posix(),
                        "size": file.stat().st_size,
                        "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
                    }
                    for file in sorted(folder.rglob("*"))
                    if file.is_file()
                ]
                self._send(json.dumps(listed).encode(), with_body)
            elif path.startswith(files):
                file = folder / path.removeprefix(files).partition("/")[2]
                asked.append(file.relative_to(folder).as_posix())
                self._send(file.read_bytes(), with_body, cut=file.name == broken)
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _send(self, body: bytes, with_body: bool, *, cut: bool = False) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if with_body:
                self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
