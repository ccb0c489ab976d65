"""Comparison of before and after in Slicer's views."""
