"""A page to try the model by hand, and its OpenAPI document."""
