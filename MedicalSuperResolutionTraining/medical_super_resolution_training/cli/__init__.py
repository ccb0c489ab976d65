"""The command line ``medsr-train``."""
