"""Super-resolution of medical volumes: thin slices from thick ones, with the measured data kept.

For research. Not for diagnosis.
"""

__version__ = "0.1.0"
