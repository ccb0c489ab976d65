"""The version of the package, for all of it."""

__version__ = "0.1.0"
