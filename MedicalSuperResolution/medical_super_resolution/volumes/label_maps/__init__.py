"""Label maps: which volumes are, and their shapes on a finer grid."""
