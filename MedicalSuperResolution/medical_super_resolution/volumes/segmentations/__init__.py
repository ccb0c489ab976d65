"""Segmentations in files: label maps with the names and colors of their segments."""
