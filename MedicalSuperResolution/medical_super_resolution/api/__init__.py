"""The functions of the package for images of any kind, in Python and in MONAI."""
