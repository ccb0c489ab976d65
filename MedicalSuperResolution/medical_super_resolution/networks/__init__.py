"""The networks. Torch only: this floor knows no millimetre and no file."""
