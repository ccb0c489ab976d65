"""What a click makes of the scene by the engine's commands, and how far it is."""
