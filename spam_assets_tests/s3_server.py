"""A real S3 server on this machine, moto's, and buckets in it: what a folder is tested with is tested there as well."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any
from uuid import uuid4

import pytest
from upath import UPath

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
DISK_AND_S3 = ["disk", pytest.param("s3", marks=pytest.mark.slow)]
"""Parameters for a fixture that is a place to keep files."""


@contextmanager
def serve_s3() -> Iterator[str]:
    """Run a server in a thread, for this process and its children, and yield its URL; what is in it goes with it.

    The environment says how it is reached, so that file systems of fsspec find it.
    """
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app, one_at_a_time = DomainDispatcherApplication(create_backend_app), Lock()

    def answer(*request: Any) -> list[bytes]:
        with one_at_a_time:  # moto compares an object's ETag and writes it in two steps, a real server in one
            return list(app(*request))

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": url, "MLFLOW_S3_ENDPOINT_URL": url}.items():
                patch.setenv(name, value)
            yield url
    finally:
        server.shutdown()
        thread.join()


def make_bucket() -> str:
    """Make a bucket in the server that runs and return its URL."""
    import s3fs

    name = f"bucket-{uuid4().hex}"
    s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
    return f"s3://{name}"


def make_place(kind: str, request: pytest.FixtureRequest) -> UPath:
    """Return an empty folder of one of the kinds of `DISK_AND_S3`, as a path."""
    from spam_assets.files import open_path

    if kind == "s3":
        return open_path(request.getfixturevalue("bucket"))
    folder = UPath(request.getfixturevalue("tmp_path")) / "place"
    folder.mkdir()
    return folder
