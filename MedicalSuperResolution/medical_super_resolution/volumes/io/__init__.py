"""Reading and writing of volume files."""
