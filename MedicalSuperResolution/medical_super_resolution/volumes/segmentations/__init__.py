"""Segmentations in files: label maps with the names and colours of their segments."""
