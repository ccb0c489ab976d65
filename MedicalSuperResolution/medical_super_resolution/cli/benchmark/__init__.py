"""Speed of the engine on this machine, and its overhead over the network alone."""
