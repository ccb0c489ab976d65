"""What scanners do to volumes, interpolation, and projection onto the measured slices."""
