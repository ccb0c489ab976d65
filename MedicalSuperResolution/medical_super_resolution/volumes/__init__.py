"""Volumes, their grids and their files. Numpy and SimpleITK: this floor knows no network."""
