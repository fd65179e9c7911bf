"""A file that several change at once: nobody's change is lost, and what cannot be done is said."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from upath import UPath

from spam_assets import file_changes
from spam_assets.file_changes import MOST_TRIES, FileChangesTooOftenError, Instead, change_file
from spam_assets.files import Content, replace_file


def fail(*_: Any, **__: Any) -> Any:
    raise AssertionError("nothing is to be written")


@pytest.fixture
def file(place: UPath) -> UPath:
    path = place / "file"
    path.write_bytes(b"old")
    return path


def test_a_file_becomes_what_is_made_of_it_or_stays_or_goes(file: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    change_file(file.fs, file.path, lambda: file.read_bytes() + b" and new")
    assert file.read_bytes() == b"old and new"
    change_file(file.fs, file.path, lambda: lambda opened: opened.write(b"written"))
    assert file.read_bytes() == b"written"
    with monkeypatch.context() as patch:
        patch.setattr(file_changes, "_is_done", fail)
        change_file(file.fs, file.path, lambda: Instead.KEEP)
    change_file(file.fs, file.path, lambda: Instead.REMOVE)
    assert not file.exists()
    with pytest.raises(FileNotFoundError):
        change_file(file.fs, file.path, fail)


def test_what_somebody_writes_while_a_file_is_changed_is_changed_as_well(file: UPath) -> None:
    others = [b"theirs, later", b"theirs"]

    def change() -> bytes:
        content = file.read_bytes()
        if others:
            replace_file(file.fs, file.path, others.pop())
        return content + b" and ours"

    change_file(file.fs, file.path, change)
    assert file.read_bytes() == b"theirs, later and ours"


def test_who_never_gets_to_change_a_file_is_told(file: UPath) -> None:
    tries = 0

    def change() -> bytes:
        nonlocal tries
        tries += 1
        replace_file(file.fs, file.path, b"x" * tries)
        return b"ours"

    with pytest.raises(FileChangesTooOftenError, match="others write file again and again"):
        change_file(file.fs, file.path, change)
    assert tries == MOST_TRIES
    assert file.read_bytes() == b"x" * tries


@pytest.mark.slow
@pytest.mark.parametrize("changed", [b"ours", lambda opened: opened.write(b"ours"), Instead.REMOVE])
def test_s3_itself_refuses_what_was_made_of_an_older_file(
    bucket: str, monkeypatch: pytest.MonkeyPatch, changed: Content | Instead
) -> None:
    """Somebody writes in the moment between our last look and our writing; the file is asked for twice a try."""
    file = UPath(bucket, use_listings_cache=False) / "file"
    file.write_bytes(b"old")
    looks = 0

    def look(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        seen = read_stamp(*arguments)
        if looks == 2:
            file.write_bytes(b"theirs")
        return seen

    read_stamp = file_changes.read_stamp
    monkeypatch.setattr(file_changes, "read_stamp", look)
    found: list[bytes] = []

    def change() -> Content | Instead:
        found.append(file.read_bytes())
        return changed

    change_file(file.fs, file.path, change)
    assert found == [b"old", b"theirs"]
    assert file.exists() is (changed is not Instead.REMOVE)


@pytest.mark.slow
def test_of_two_machines_that_change_a_file_in_a_bucket_neither_loses_a_change(bucket: str) -> None:
    import s3fs

    path = f"{bucket}/numbers.json"
    s3fs.S3FileSystem().pipe_file(path, b"[]")

    def add(first: int) -> None:
        fs = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)

        def change(number: int) -> bytes:
            return json.dumps([*json.loads(fs.cat_file(path)), number]).encode()

        for number in range(first, first + 20):
            change_file(fs, path, lambda number=number: change(number))

    with ThreadPoolExecutor(2) as machines:
        list(machines.map(add, (0, 100)))
    numbers = json.loads(s3fs.S3FileSystem().cat_file(path))
    assert sorted(numbers) == [*range(20), *range(100, 120)]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "is_written"), [("NotImplemented", True), ("AccessDenied", False)])
def test_a_server_without_conditions_is_written_to_all_the_same_and_other_trouble_is_raised(
    bucket: str, monkeypatch: pytest.MonkeyPatch, code: str, is_written: bool
) -> None:
    import s3fs
    from botocore.exceptions import ClientError

    file = UPath(bucket, use_listings_cache=False) / "file"
    file.write_bytes(b"old")
    call = s3fs.S3FileSystem._call_s3

    async def answer(fs: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "put_object" and "IfMatch" in kwargs:
            raise s3fs.core.translate_boto_error(ClientError({"Error": {"Code": code}}, method))
        return await call(fs, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", answer)
    if is_written:
        change_file(file.fs, file.path, lambda: b"new")
    else:
        with pytest.raises(PermissionError):
            change_file(file.fs, file.path, lambda: b"new")
    assert file.read_bytes() == (b"new" if is_written else b"old")
