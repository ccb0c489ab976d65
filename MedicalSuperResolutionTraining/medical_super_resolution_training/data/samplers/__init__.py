"""What a training step takes: random patches of the volumes, by seed and step."""
