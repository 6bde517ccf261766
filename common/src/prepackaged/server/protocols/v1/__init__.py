"""TensorFlow Serving's REST protocol, which KServe calls V1 and Vertex AI also uses."""
