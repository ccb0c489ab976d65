"""Volumes, their grids and their files, with NumPy and SimpleITK."""
