"""The child process in which the engine runs, so that Slicer stays alive: its command line, its files, its life."""
