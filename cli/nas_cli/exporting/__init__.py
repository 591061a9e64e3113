"""`nas export`: an architecture as code that needs nothing of ours, its weights, and ONNX."""
