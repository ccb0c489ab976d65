"""A DICOM station: receives series, enhances those that a rule names, and sends the derived series on."""
