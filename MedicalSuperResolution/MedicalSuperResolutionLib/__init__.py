"""The Slicer side of the module: scene, child process, panel. Nothing here imports torch."""
