"""Samplers of random patches, by seed and step."""
