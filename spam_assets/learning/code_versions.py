"""Code versions of what this room makes; raise one when the same input would give another output.

They stand alone so that the code location can name them without importing NumPy or Numba. What a raised version sets
going is told in docs/reproducing.md.
"""

FEATURES_VERSION = "1"
"""Of features, and of how a model scores them: models of another one cannot score what this code makes."""
MODEL_VERSION = "3"
"""Of training: models of another one go on scoring as ever."""


class OtherVersionError(ValueError):
    """Something was stored by another version of the code and cannot be used by this one."""
