"""From a data set on disk to the batches of a step."""
