"""From margins to probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PRIOR_SLOPE = 3.0


@dataclass(frozen=True)
class Calibration:
    """Spam probability = 1 / (1 + exp(-(slope * margin + intercept)))."""

    slope: float = PRIOR_SLOPE
    intercept: float = 0.0

    def apply(self, margins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities of margins, same shape."""
        exponents = np.clip(self.slope * margins + self.intercept, -700.0, 700.0)
        return np.asarray(1.0 / (1.0 + np.exp(-exponents)), np.float64)

    def standardise(self, margins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Margins of any scale as margins of the scale and zero that the prior slope is made for, same shape."""
        return np.asarray((self.slope * margins + self.intercept) / PRIOR_SLOPE, np.float64)
