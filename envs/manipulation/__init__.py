"""Tasks in which a body is brought to a goal."""
