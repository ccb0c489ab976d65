"""The panel of the training: choices, child process, loss curve. Nothing here imports torch."""
