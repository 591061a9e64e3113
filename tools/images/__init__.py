"""Builds the images with docker or podman, and brings them to where containers run, without a registry."""
