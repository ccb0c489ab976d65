"""Reading and writing of DICOM series."""
