"""Monitoring of a run: curves, validation, pictures, checkpoints."""
