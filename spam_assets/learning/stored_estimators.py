"""Somebody else's fitted estimator as bytes that run no code when they are loaded: skops (`skops.io`).

Equal estimators give equal bytes: skops names objects by their addresses in memory and notes the time, which is undone.
skops writes some 900 bytes for each word of a vocabulary, so a vocabulary is stored as one text.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from spam_assets.learning.estimator_errors import EstimatorError, tell_error

OWN_TYPES = ("spam_assets.learning.classifier.SpamClassifier", "spam_assets.learning.text_columns.TextColumns")
"""Ours, which may be loaded as those of scikit-learn."""
SCHEMA = "schema.json"


def pack_estimator(estimator: Any, name: str, trusted_types: Collection[str] = ()) -> tuple[bytes, tuple[str, ...]]:
    """Return a fitted estimator as the bytes of a skops file, and its types that are not known to be safe.

    Args:
        estimator: The estimator.
        name: Whose it is, for errors.
        trusted_types: As for ``unpack_estimator``, which would refuse others; so they are refused here already.

    Raises:
        EstimatorError: skops cannot store it, or it has types that nobody trusts.
    """
    import skops.io

    try:
        with _vectorisers_as_stored(estimator):
            content = _make_canonical(skops.io.dumps(estimator))
    except Exception as error:
        raise EstimatorError(
            f"{name}: its fitted estimator cannot be stored by skops ({tell_error(error)}); lambdas and functions "
            "defined in functions cannot, named functions and classes of a module can"
        ) from error
    return content, _refuse_unknown_types(content, name, trusted_types)


def unpack_estimator(content: bytes, name: str, trusted_types: Collection[str] = ()) -> Any:
    """Return the estimator in the bytes of a skops file; only code of types that are trusted is run.

    Args:
        content: The bytes.
        name: Whose it is, for errors.
        trusted_types: Types, by full name, that may be loaded beside those that skops knows to be safe.

    Raises:
        EstimatorError: It has other types, or is damaged, or its code is not there.
    """
    import skops.io

    _refuse_unknown_types(content, name, trusted_types)
    try:
        estimator = skops.io.loads(content, trusted=sorted({*trusted_types, *OWN_TYPES}))
        for vectoriser in _find_vectorisers(estimator, set()):
            if isinstance(getattr(vectoriser, "vocabulary_", None), str):
                vectoriser.vocabulary_ = _read_vocabulary(vectoriser.vocabulary_)
    except Exception as error:
        raise EstimatorError(f"{name}: its stored estimator cannot be loaded ({tell_error(error)})") from error
    return estimator


def find_unknown_types(content: bytes) -> list[str]:
    """Return the types in a skops file that neither skops nor we know to be safe, by full name."""
    import skops.io

    return sorted(set(skops.io.get_untrusted_types(data=content)) - set(OWN_TYPES))


def name_unfitted(estimator: Any) -> str:
    """Return a name for an estimator's types and parameters; empty where they hang on code that may change."""
    import sklearn
    import skops.io

    try:
        unfitted = sklearn.base.clone(estimator)
        with _vectorisers_as_stored(unfitted):
            content = _make_canonical(skops.io.dumps(unfitted))
        if find_unknown_types(content):
            return ""
    except Exception:  # noqa: BLE001 - what has no name is only not kept
        return ""
    return hashlib.sha256(f"{sklearn.__version__} ".encode() + content).hexdigest()[:16]


def list_modules(content: bytes) -> set[str]:
    """Return the modules that the types in a skops file are of."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read(SCHEMA))
    return {str(node["__module__"]) for node in _walk(schema) if "__module__" in node}


def _refuse_unknown_types(content: bytes, name: str, trusted_types: Collection[str]) -> tuple[str, ...]:
    """Return the types that are not known to be safe, all of them trusted."""
    try:
        found = find_unknown_types(content)
    except Exception as error:
        raise EstimatorError(f"{name}: its stored estimator is damaged ({tell_error(error)})") from error
    unknown = [one for one in found if one not in trusted_types]
    if unknown:
        raise EstimatorError(
            f"{name}: its estimator has types that are not known to be safe: {', '.join(unknown)}; if you trust their "
            f"code, set SPAM_ASSETS_TRUSTED_TYPES={','.join(found)}"
        )
    return tuple(found)


@contextmanager
def _vectorisers_as_stored(estimator: Any) -> Iterator[None]:
    """Have vocabularies be one text, a line a word in the order of their columns, as long as this lasts.

    Gone meanwhile is the address in memory of a list of stop words, by which scikit-learn knows that it looked at it.
    """
    before: list[tuple[Any, dict[str, Any]]] = []
    try:
        for vectoriser in _find_vectorisers(estimator, set()):
            before.append((vectoriser, dict(vars(vectoriser))))
            vars(vectoriser).pop("_stop_words_id", None)
            text = _write_vocabulary(getattr(vectoriser, "vocabulary_", None))
            if text is not None:
                vectoriser.vocabulary_ = text
        yield
    finally:
        for vectoriser, attributes in before:
            vars(vectoriser).update(attributes)


def _write_vocabulary(words: Any) -> str | None:
    """The words of a vocabulary in the order of their columns, a line each; None where they are not all that."""
    if not isinstance(words, dict) or sorted(words.values()) != list(range(len(words))):
        return None
    text = "\n".join(sorted(words, key=words.__getitem__))
    return text if words and text.count("\n") == len(words) - 1 else None  # no word holds a line's end


def _read_vocabulary(text: str) -> dict[str, int]:
    """Undo ``_write_vocabulary``."""
    return {word: at for at, word in enumerate(text.split("\n"))}


def _find_vectorisers(thing: Any, seen: set[int]) -> Iterator[Any]:
    """The text vectorisers of scikit-learn within an estimator."""
    from sklearn.base import BaseEstimator
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, CountVectorizer | HashingVectorizer):
        yield thing
    elif isinstance(thing, BaseEstimator):
        yield from _find_vectorisers(list(vars(thing).values()), seen)
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from _find_vectorisers(part, seen)
    elif isinstance(thing, dict):
        yield from _find_vectorisers(list(thing.values()), seen)


def _make_canonical(content: bytes) -> bytes:
    """The same file, with objects numbered as they come instead of by address, and without a time."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read(SCHEMA))
        files = {name: archive.read(name) for name in archive.namelist() if name != SCHEMA}
    numbers: dict[Any, int] = {}
    named: dict[str, bytes] = {}
    for position, node in enumerate(_walk(schema)):
        if node.get("__loader__") == "SetNode":
            node["content"].sort(key=lambda one: json.dumps(one.get("content"), sort_keys=True))
        if "__id__" in node:
            # Two equal strings may be one object or two, as Python likes it.
            key = ("text", position) if node.get("__loader__") == "JsonNode" else node["__id__"]
            node["__id__"] = numbers.setdefault(key, len(numbers) + 1)
        if isinstance(node.get("file"), str) and node["file"] in files:
            stem, dot, suffix = node["file"].partition(".")
            number = numbers.setdefault(("file", stem), len(numbers) + 1)
            new = f"{number}{dot}{suffix}"
            named[new] = files[node["file"]]
            node["file"] = new
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in [(SCHEMA, json.dumps(schema).encode()), *sorted(named.items())]:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    """All objects in a schema, in order."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)
