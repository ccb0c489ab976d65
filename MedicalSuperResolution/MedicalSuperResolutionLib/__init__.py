"""The part that needs Slicer: scene, child process, panel. Nothing here imports torch."""
