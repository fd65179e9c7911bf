"""The columns of a day of mail as pandera schemas.

Importing pandera costs half a second, so nothing else in `mail/` imports this module when it loads.
"""

from typing import Any, Final

import pandas as pd
import pandera.pandas as pa

from spam_assets.mail.columns import (
    COLUMN_DESCRIPTIONS,
    COLUMN_TYPES,
    LABEL,
    LABELS,
    MAIL_COLUMNS,
    MESSAGE_ID,
    RAW,
    VALIDATED_MAIL_COLUMNS,
)

_HOLDS_TEXT = pa.Check(
    lambda cells: cells.map(lambda cell: isinstance(cell, str)).astype(bool),
    name="holds_text",
    error="is no text",
)
_HOLDS_BYTES = pa.Check(
    lambda cells: cells.map(lambda cell: isinstance(cell, bytes)).astype(bool),
    name="holds_bytes",
    error="is no bytes",
)

_PANDAS_TYPES: Final[dict[str, tuple[Any, list[pa.Check]]]] = {
    "string": (object, [_HOLDS_TEXT]),
    "binary": (object, [_HOLDS_BYTES]),
    "timestamp[us, UTC]": (pd.DatetimeTZDtype("us", "UTC"), []),
    "uint64": ("uint64", []),
}
"""How pandas holds each type of `COLUMN_TYPES`."""


def _describe_column(name: str, *, validated: bool) -> pa.Column:
    """Return the schema of one column; only validated mail promises values."""
    dtype, type_checks = _PANDAS_TYPES[COLUMN_TYPES[name]]
    checks = list(type_checks)
    if validated and name == LABEL:
        checks.append(pa.Check.isin(LABELS))
    return pa.Column(
        dtype,
        checks=checks,
        nullable=name == RAW or not validated,
        unique=validated and name == MESSAGE_ID,
        description=COLUMN_DESCRIPTIONS[name],
    )


def _describe_mail(*, validated: bool) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(
        {
            name: _describe_column(name, validated=validated)
            for name in (VALIDATED_MAIL_COLUMNS if validated else MAIL_COLUMNS)
        },
        strict=True,
        ordered=True,
        unique_column_names=True,
        name="validated_mail" if validated else "raw_mail",
    )


RAW_MAIL_SCHEMA: Final = _describe_mail(validated=False)
"""A day as it landed: the right columns and types; cells may be missing, labels may be anything."""

VALIDATED_MAIL_SCHEMA: Final = _describe_mail(validated=True)
"""A day that models may learn from: nothing missing but `raw`, ids unique, labels known."""
