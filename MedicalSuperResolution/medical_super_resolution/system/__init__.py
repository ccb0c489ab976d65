"""Services of the operating system: memory, temporary folders, processes."""
