"""Installation of torch and of model files, and the self-check."""
