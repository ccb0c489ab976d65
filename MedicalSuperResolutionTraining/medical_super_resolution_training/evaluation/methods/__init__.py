"""What is measured: anything that refines a volume."""
