"""The acquisition model of one axis, interpolation, and projection onto the measured slices."""
