"""A server that speaks as much of Cloud Storage's JSON API as Beam asks of it; objects are files of a folder.

It stands in for the metadata server of a machine too, whose account the launcher has.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

__all__ = ["leads_to", "serve_buckets"]


class _Handler(BaseHTTPRequestHandler):
    folder: Path
    uploads: dict[str, Path]

    def do_GET(self) -> None:
        if not self.path.startswith(("/storage/", "/download/")):
            self._metadata()
            return
        path = urlsplit(self.path).path.removeprefix("/download")
        bucket, _, name = path.removeprefix("/storage/v1/b/").partition("/o/")
        if not name:
            self._json({"kind": "storage#bucket", "name": bucket, "id": bucket})
            return
        file = self.folder / bucket / unquote(name)
        if not file.is_file():
            self._answer(404, b'{"error": {"code": 404, "message": "no such object"}}')
        elif "alt=media" in self.path:
            self._media(file.read_bytes())
        else:
            self._json(_about(bucket, unquote(name), file.read_bytes()))

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        assert url.path.startswith("/upload/storage/v1/b/"), self.path
        bucket = url.path.removeprefix("/upload/storage/v1/b/").removesuffix("/o")
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        name = body.get("name") or parse_qs(url.query)["name"][0]
        upload = f"/resumed/{len(self.uploads)}"
        self.uploads[upload] = self.folder / bucket / name
        self._answer(200, b"", location=f"http://{self.headers['host']}{upload}")

    def do_PUT(self) -> None:
        file = self.uploads[self.path]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.rfile.read(int(self.headers["content-length"])))
        bucket, _, name = file.relative_to(self.folder).as_posix().partition("/")
        self._json(_about(bucket, name, file.read_bytes()))

    def _metadata(self) -> None:
        path = urlsplit(self.path).path.removeprefix("/computeMetadata/v1/")
        account = {"email": "launcher@proj-x.iam.gserviceaccount.com", "scopes": ["cloud-platform"], "aliases": []}
        token = {"access_token": "a-token-of-the-launcher", "expires_in": 3600, "token_type": "Bearer"}
        known = {"/": "", "project/project-id": "proj-x"}
        google = {"metadata-flavor": "Google"}
        if path in known:
            self._answer(200, known[path].encode(), **google, **{"content-type": "text/plain"})
        elif path.startswith("instance/service-accounts/"):
            found = token if path.endswith("/token") else account
            self._answer(200, json.dumps(found).encode(), **google, **{"content-type": "application/json"})
        else:
            self._answer(404, b"", **google)

    def _media(self, content: bytes) -> None:
        first, _, last = (self.headers["range"] or "bytes=0-").removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1 if last else None]
        span = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        self._answer(206, part, **{"content-range": span})

    def _json(self, content: Any) -> None:
        self._answer(200, json.dumps(content).encode(), **{"content-type": "application/json"})

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def _about(bucket: str, name: str, content: bytes) -> dict[str, Any]:
    checked = google_crc32c.value(content)
    return {
        "kind": "storage#object",
        "bucket": bucket,
        "name": name,
        "size": str(len(content)),
        "crc32c": base64.b64encode(checked.to_bytes(4)).decode(),
        "generation": str(checked + 1),
        "updated": "2026-01-01T00:00:00Z",
    }


@contextmanager
def serve_buckets(folder: Path) -> Iterator[str]:
    """Serve the buckets of a folder; gives the URL of the server."""
    handler = type("Handler", (_Handler,), {"folder": folder, "uploads": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def leads_to(url: str) -> dict[str, str]:
    """The environment of a program that takes a server for Cloud Storage and for its machine's metadata."""
    metadata = dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"), url.removeprefix("http://"))
    return {"STORAGE_EMULATOR_HOST": url, **metadata}
