"""Networks in plain PyTorch, without units and files."""
