"""What is recorded of a run while it trains: curves, validation, pictures, checkpoints."""
