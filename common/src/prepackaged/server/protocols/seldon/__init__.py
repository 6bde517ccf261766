"""Seldon's v1 protocol over REST and gRPC: its messages, and the hooks that its methods call."""
