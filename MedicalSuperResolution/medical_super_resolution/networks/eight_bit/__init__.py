"""Convolutions and blocks in 8-bit integers."""
