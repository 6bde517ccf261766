"""Seldon's v1 protocol: messages to values and back, and what each method of it calls."""
