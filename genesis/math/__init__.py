"""Small mathematics that knows nothing of scenes."""
