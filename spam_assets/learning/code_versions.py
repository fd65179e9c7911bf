"""Code versions of what this room makes; raise one when the same input would give another output.

They stand alone so that the code location can name them without importing NumPy or Numba.
"""

FEATURES_VERSION = "1"
MODEL_VERSION = "3"
