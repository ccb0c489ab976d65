"""Methods that refine a volume."""
