"""Loss terms, metrics and degradations."""
