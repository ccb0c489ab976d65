"""Acquisition, interpolation, and projection onto the measured slices."""
