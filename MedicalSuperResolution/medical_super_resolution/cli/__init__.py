"""The command line ``medsr``."""
