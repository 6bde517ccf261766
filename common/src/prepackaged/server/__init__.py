"""The microservice: what the images run; Model authors need nothing of it."""
