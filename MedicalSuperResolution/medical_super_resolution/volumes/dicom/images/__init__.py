"""One DICOM file: its header, its images with their places, and their stored numbers and values."""
