"""The panel of the module."""
