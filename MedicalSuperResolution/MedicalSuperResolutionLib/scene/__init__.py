"""Between MRML nodes and volumes."""
