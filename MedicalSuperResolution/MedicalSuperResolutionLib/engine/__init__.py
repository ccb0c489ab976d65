"""Tasks that the engine carries out for the scene, and their progress."""
