"""The microservice that the images run; authors of Models do not use it."""
