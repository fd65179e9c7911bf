"""A logged model of somebody else's method as something that answers; the loader that plain MLflow calls.

This module travels with every such model. It needs NumPy, pandas, scikit-learn and skops, and what the estimator needs.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from spam_assets.learning.calibration import Calibration
from spam_assets.learning.estimator_scores import compute_margins
from spam_assets.learning.mail_text import shape_mail
from spam_assets.learning.served_model import ServedModel, frame_verdicts
from spam_assets.learning.stored_estimators import unpack_estimator
from spam_assets.mail.completion import complete_mail


def _load_pyfunc(path: str) -> ServedModel:
    """Load the model file; the name is MLflow's.

    Types that are not known to be safe are loaded if who logged the model trusted them: this module comes from there as
    well, and who calls it runs it.
    """
    with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as arrays:
        method, packed = str(arrays["method"]), arrays["estimator"].tobytes()
        trusted = arrays["unknown_types"].tolist()
        slope, intercept, threshold = (float(value) for value in arrays["calibration"])
    estimator, calibration = unpack_estimator(packed, method, trusted), Calibration(slope, intercept)

    def score(mail: pd.DataFrame) -> pd.DataFrame:
        probabilities = calibration.apply(compute_margins(estimator, shape_mail(complete_mail(mail))))
        return frame_verdicts(probabilities, threshold, mail.index)

    return ServedModel(score)
