"""Before, after and difference in a browser: a small server for a remote computer, or one without Slicer."""
