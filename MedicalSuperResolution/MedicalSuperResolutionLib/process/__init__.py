"""The child process of the engine: its command line, its files, its start and end."""
