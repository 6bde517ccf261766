"""gRPC: Seldon's services, reflection and health on one port."""
