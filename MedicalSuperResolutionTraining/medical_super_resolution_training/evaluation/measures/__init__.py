"""The measures of a result against its reference."""
