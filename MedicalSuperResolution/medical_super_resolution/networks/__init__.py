"""The networks and what trains them. Torch only: this floor knows no millimetre and no file."""
