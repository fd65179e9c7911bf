"""What a person sees of a URL: where it leads, and nothing that opens a door."""

import pytest

from spam_assets.urls import hide_credentials


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/mail", "s3://bucket/mail"),
        ("/srv/mail@home", "/srv/mail@home"),
        ("ftp://user:word@host/mail", "ftp://host/mail"),
        ("ftp://user:p@ss@host/mail", "ftp://host/mail"),
        ("ftp://user:pa/ss@host/mail", "ftp://host/mail"),
        ("ftp://user:pa/s@s@host/mail", "ftp://host/mail"),
        ("ftp://user:pa?ss#@host", "ftp://host"),
        ("ftp://token@host", "ftp://host"),
        ("http://host:8080/@user/x", "http://host:8080/@user/x"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
        ("simplecache::ftp://u:p@host/x", "simplecache::ftp://host/x"),
        ("https://a.blob.example/mail?sp=r&sig=abc%3D&se=2026", "https://a.blob.example/mail?sp=r&sig=***&se=2026"),
        ("https://b.example/x?X-Amz-Signature=ab&X-Amz-Date=1", "https://b.example/x?X-Amz-Signature=***&X-Amz-Date=1"),
        ("https://b.example/x?X-Amz-Credential=ab/c&y=1", "https://b.example/x?X-Amz-Credential=***&y=1"),
        ("https://b.example/x?access_token=ab", "https://b.example/x?access_token=***"),
        ("https://b.example/x?%73ig=ab", "https://b.example/x?%73ig=***"),
        ("https://b.example/x#access_token=ab", "https://b.example/x#access_token=***"),
        ("postgresql://host/db?password=x&sslmode=require", "postgresql://host/db?password=***&sslmode=require"),
        ("http://ui/assets/raw_mail?view=partitions&partition=2024-01-01",) * 2,
    ],
)
def test_a_url_is_shown_without_what_is_secret_in_it(url: str, shown: str) -> None:
    assert hide_credentials(url) == shown
    assert hide_credentials(shown) == shown
    assert hide_credentials(f"{url} cannot be read; see {url}") == f"{shown} cannot be read; see {shown}"
