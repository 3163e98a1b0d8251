"""What runs a network: OpenVINO, ONNX Runtime or PyTorch."""
