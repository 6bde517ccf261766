"""REST: bytes in, bytes out. It knows routes, and no model."""
