"""What fitted models compute, as ONNX graphs: operators in place of NumPy."""
