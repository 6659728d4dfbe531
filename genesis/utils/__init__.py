"""Modules by the paths that scripts of the public engine import."""
