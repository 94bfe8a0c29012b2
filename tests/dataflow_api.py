"""A server that speaks as much of Dataflow's API as a launch asks of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["DataflowApi", "serve_dataflow"]

JOBS = "/v1b3/projects/proj-x/locations/europe-west1/jobs"
LAUNCH = "/v1b3/projects/proj-x/locations/europe-west1/flexTemplates:launch"


class DataflowApi:
    """The jobs by id, what was launched, and what was asked to change.

    `refuses` are status codes by the method that they answer. A job that is drained takes `looks` to end, before
    which `failing_looks` fail.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.jobs: dict[str, dict[str, Any]] = {}
        self.launched: list[dict[str, Any]] = []
        self.changed: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[str] = []
        self.refuses: dict[str, int] = {}
        self.looks = 2
        self.failing_looks = 0

    def run(self, name: str, *steps: str, kind: str = "JOB_TYPE_STREAMING") -> str:
        """Let a job run; returns its id."""
        known = f"id-{len(self.jobs)}"
        described = {"originalPipelineTransform": [{"name": step, "id": f"s{n}"} for n, step in enumerate(steps)]}
        about = {"id": known, "name": name, "type": kind, "currentState": "JOB_STATE_RUNNING"}
        self.jobs[known] = {**about, "pipelineDescription": described}
        return known

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        url = urlsplit(path)
        self.asked.append(f"{method} {url.path}")
        if method in self.refuses:
            status = self.refuses[method]
            return status, {"error": {"code": status, "message": f"the service says {status}", "status": "NO"}}
        if method == "POST" and url.path == LAUNCH:
            self.launched.append(json.loads(body))
            known = self.run(self.launched[-1]["launchParameter"]["jobName"])
            return 200, {"job": {"id": known, "name": self.jobs[known]["name"]}}
        if method == "GET" and url.path == JOBS:
            asked = parse_qs(url.query)
            found = [job for job in self.jobs.values() if job["name"] in asked.get("name", [job["name"]])]
            return 200, {
                "jobs": [job for job in found if job["currentState"] in ("JOB_STATE_RUNNING", "JOB_STATE_DRAINING")]
            }
        job = self.jobs[url.path.removeprefix(f"{JOBS}/")]
        if method == "GET" and job["currentState"] == "JOB_STATE_DRAINING" and self.failing_looks:
            self.failing_looks -= 1
            return 503, {"error": {"code": 503, "message": "the service says 503", "status": "UNAVAILABLE"}}
        if method == "PUT":
            self.changed.append((job["id"], json.loads(body)))
            job["currentState"] = "JOB_STATE_DRAINING"
        elif job["currentState"] == "JOB_STATE_DRAINING":
            self.looks -= 1
            if self.looks <= 0:
                job["currentState"] = "JOB_STATE_DRAINED"
        return 200, job


@contextmanager
def serve_dataflow() -> Iterator[DataflowApi]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            status, found = api.answer(self.command, self.path, body)
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = DataflowApi(f"http://127.0.0.1:{server.server_address[1]}")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
