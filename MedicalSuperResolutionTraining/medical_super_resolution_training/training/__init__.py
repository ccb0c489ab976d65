"""One run: network, data set, step, and what is recorded meanwhile."""
