"""Model files: format, storage, card, weight interpolation."""
