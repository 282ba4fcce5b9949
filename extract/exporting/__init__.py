"""Networks as ONNX graphs, from pixels to features, for whoever puts a finished model behind them."""
