"""MRML nodes converted to volumes and back."""
