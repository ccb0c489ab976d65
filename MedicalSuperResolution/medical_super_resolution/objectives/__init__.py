"""Loss terms and metrics."""
