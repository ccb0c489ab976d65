"""The ways in which a generator is run through a volume."""
