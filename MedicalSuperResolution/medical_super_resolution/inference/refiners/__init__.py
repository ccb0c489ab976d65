"""Refiners: they run a generator through a volume."""
