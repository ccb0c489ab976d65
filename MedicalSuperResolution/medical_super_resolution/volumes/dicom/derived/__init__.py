"""A derived DICOM series: headers, stored numbers, files."""
