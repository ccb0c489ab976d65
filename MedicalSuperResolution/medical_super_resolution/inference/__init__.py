"""From a volume, a model and settings to the enhanced volume."""
