"""Blocks whose convolutions take features in fewer bits, for CPUs with instructions for them."""
