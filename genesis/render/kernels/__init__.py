"""What runs per pixel."""
