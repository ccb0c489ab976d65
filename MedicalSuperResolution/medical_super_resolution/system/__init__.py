"""What the operating system is asked for: memory, temporary folders, processes."""
