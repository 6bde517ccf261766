"""Pages for people: one to try the model by hand, and its OpenAPI document."""
