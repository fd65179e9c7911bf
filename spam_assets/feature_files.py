"""The features of a day of mail of any size: of many batches, in temporary files that are mapped; TMPDIR says where."""

import mmap
import tempfile
from collections.abc import Iterable
from typing import IO

import numpy as np
import pandas as pd

from spam_assets.learning.features import VIEWS, MailFeatures, SparseRows, featurize_mail
from spam_assets.mail.mail_batches import Mail, iterate_frames
from spam_assets.mail_files import run_ahead


def featurize_day(mail: Mail) -> MailFeatures:
    """Hash every message of a day, see `featurize_mail`; in memory are no more than a batch and what is narrow."""
    if isinstance(mail, pd.DataFrame):
        return featurize_mail(mail)
    return stack_on_disk(run_ahead(map(featurize_mail, iterate_frames(mail))))


def stack_on_disk(parts: Iterable[MailFeatures]) -> MailFeatures:
    """Return the features of consecutive parts of a day as those of the day, with its views in mapped files."""
    files = {view: tempfile.TemporaryFile() for view in VIEWS}  # noqa: SIM115 - mapped as long as the day is in use
    lengths = {view: [np.zeros(1, np.int64)] for view in VIEWS}
    message_ids = [np.empty(0, object)]
    labels = [np.empty(0, np.int8)]
    for part in parts:
        message_ids.append(part.message_ids)
        labels.append(part.labels)
        for view, rows in part.views.items():
            lengths[view].append(np.diff(rows.offsets))
            files[view].write(np.ascontiguousarray(rows.indices).data)
    views = {
        view: SparseRows(_map_file(file), np.cumsum(np.concatenate(lengths[view])).astype(np.int64))
        for view, file in files.items()
    }
    return MailFeatures(np.concatenate(message_ids), np.concatenate(labels), views)


def _map_file(file: IO[bytes]) -> "np.ndarray[tuple[int], np.dtype[np.uint32]]":
    file.flush()
    if not file.tell():
        return np.empty(0, np.uint32)
    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint32)
