"""From a folder of scans to a manifest: found, checked, cleaned, and given to a split."""
