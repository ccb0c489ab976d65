"""Models for other runtimes: ONNX and PyTorch's exported programs, with a card in Markdown."""
