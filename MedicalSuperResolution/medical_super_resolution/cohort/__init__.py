"""Many volumes through the same door: files, series of volumes, folders."""
