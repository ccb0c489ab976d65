"""NIfTI-1, NIfTI-2 and FreeSurfer files: headers read and written, through nibabel."""
