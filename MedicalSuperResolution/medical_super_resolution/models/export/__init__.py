"""Models for other runtimes: ONNX, PyTorch's exported programs and bundles of MONAI, with a card in Markdown."""
