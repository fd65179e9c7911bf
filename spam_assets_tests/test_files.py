"""Files in folders and buckets: a listing tells what changed, and a reader never sees half a file."""

import os
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from spam_assets.files import list_folder, open_folder, replace_file, replace_local_file

NOON = 1_716_000_000.0


# --- listing


class Bucket:
    """The part of a file system that a listing takes, with the details that the storages are documented to give."""

    protocol = "bucket"

    def __init__(self, *details: dict[str, Any]) -> None:
        self.details = list(details)

    def invalidate_cache(self, _path: str) -> None:
        pass

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        assert detail
        return [{"name": f"{path}/{number}", **details} for number, details in enumerate(self.details)]


def test_buckets_tell_stamps_and_times_each_in_its_own_words() -> None:
    moment = datetime(2024, 5, 18, 2, 40, tzinfo=timezone.utc)
    bucket = Bucket(
        {"size": 5, "ETag": '"e"', "LastModified": moment},
        {"size": 5, "etag": "g", "md5Hash": "m", "updated": "2024-05-18T02:40:00Z", "mtime": None},
        {"size": 5, "last_modified": moment.astimezone(timezone(timedelta(hours=2)))},
        {"size": 5, "mtime": moment.replace(tzinfo=None)},
        {"size": 5, "created": NOON},
        {"size": None, "type": "file", "mtime": "yesterday"},
        {"size": 7},
    )
    files = list_folder(bucket, "b", re.compile(".+"))
    assert [file.modified_seconds for file in files] == [NOON, NOON, NOON, NOON, NOON, None, None]
    assert [file.stamp for file in files] == [
        '"e"', "g", "2024-05-18 04:40:00+02:00", "2024-05-18 02:40:00", str(NOON), "yesterday", ""
    ]  # fmt: skip
    assert [file.size_bytes for file in files] == [5, 5, 5, 5, 5, 0, 7]


# --- replacing


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


class RemoteFolder(DirFileSystem):
    """A folder as a storage without atomic uploads shows it, such as SFTP."""

    def __init__(self, folder: Path) -> None:
        super().__init__(path=str(folder), fs=LocalFileSystem())


@pytest.mark.parametrize("kind", ["disk", "memory", "remote", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_file_is_written_and_replaced_and_nothing_is_left_beside_it(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    fs, root = {
        "disk": lambda: open_folder(str(tmp_path)),
        "memory": lambda: open_folder(f"memory://{uuid4()}"),
        "s3": lambda: open_folder(f"{request.getfixturevalue('bucket')}/folder"),
        "remote": lambda: (RemoteFolder(tmp_path), "/inside"),
    }[kind]()
    fs.makedirs(root, exist_ok=True)
    for content in (b"a long content", b"short", b""):
        replace_file(fs, f"{root}/file", content)
        assert fs.cat_file(f"{root}/file") == content
        assert [name.rpartition("/")[2] for name in fs.ls(root, detail=False)] == ["file"]


def test_until_a_file_is_whole_and_on_disk_readers_see_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_local_file(path, b"old")
    seen: list[tuple[bytes, bytes]] = []

    def watch_sync(descriptor: int) -> None:
        (beside,) = (other for other in tmp_path.iterdir() if other != path)
        assert beside.stat().st_ino == os.fstat(descriptor).st_ino
        seen.append((path.read_bytes(), beside.read_bytes()))

    monkeypatch.setattr(os, "fsync", watch_sync)
    replace_local_file(path, b"new")
    assert seen == [(b"old", b"new")]
    assert path.read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    replace_local_file(tmp_path / "file", b"old")
    remote = RemoteFolder(tmp_path)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        replace_local_file(tmp_path / "file", b"new")
    monkeypatch.setattr(remote, "mv", fail)
    with pytest.raises(OSError, match="No space left"):
        replace_file(remote, "/file", b"new")
    assert list_names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_write_that_is_interrupted_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        replace_local_file(tmp_path / "file", b"new")
    assert list_names(tmp_path) == []


def test_a_folder_that_is_not_there_is_an_error_of_the_file_system(tmp_path: Path) -> None:
    for write in (
        lambda: replace_local_file(tmp_path / "gone" / "file", b"x"),
        lambda: replace_file(fsspec.filesystem("file"), f"{tmp_path}/gone/file", b"x"),
    ):
        with pytest.raises(FileNotFoundError):
            write()
    assert list_names(tmp_path) == []


def test_a_new_file_has_the_permissions_that_any_other_would_have(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    replace_local_file(tmp_path / "file", b"x")
    assert read_mode(tmp_path / "file") == read_mode(tmp_path / "other")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o444])
def test_a_replaced_file_keeps_its_permissions_and_its_content_is_never_open_to_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    path = tmp_path / "secrets"
    path.write_bytes(b"old")
    path.chmod(mode)
    modes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: modes.append(os.fstat(descriptor).st_mode & 0o7777))
    replace_local_file(path, b"new")
    assert read_mode(path) == mode
    assert [more & ~mode for more in modes] == [0]
    assert path.read_bytes() == b"new"


def test_a_link_stays_a_link_and_the_file_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    links, kept = tmp_path / "links", tmp_path / "kept"
    links.mkdir()
    kept.mkdir()
    (kept / "file").write_bytes(b"old")
    (links / "file").symlink_to(Path("..") / "kept" / "file")
    (links / "chain").symlink_to("file")
    (links / "new").symlink_to(kept / "new")
    for name, content in (("file", b"1"), ("chain", b"2"), ("new", b"3")):
        replace_local_file(links / name, content)
        assert (links / name).is_symlink()
        assert (links / name).read_bytes() == content
    assert (kept / "file").read_bytes() == b"2"
    assert list_names(links) == ["chain", "file", "new"]
    assert list_names(kept) == ["file", "new"]


def test_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    replace_local_file(Path(".env"), b"A=1\n")
    assert (tmp_path / ".env").read_bytes() == b"A=1\n"
