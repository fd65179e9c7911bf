"""Errors of the MLflow store show no secret."""

import pytest

from spam_assets.registry.store import TrackingError, secret_kept


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:hunter2@example.com",
        "postgresql://u:hunter2@db/x",
        "postgresql://db/x?user=u&password=hunter2",
    ],
)
def test_an_error_that_could_show_a_secret_is_replaced(uri: str) -> None:
    with pytest.raises(TrackingError) as raised, secret_kept(uri, "reading"):
        raise ValueError(f"cannot reach {uri}")
    assert "hunter2" not in str(raised.value.description)
    assert "MLflow failed while reading (ValueError)" in str(raised.value.description)
    assert raised.value.__suppress_context__


def test_an_error_without_a_secret_stays_as_it_is() -> None:
    with pytest.raises(ValueError, match="disk full"), secret_kept("sqlite:///x.db", "reading"):
        raise ValueError("disk full")
