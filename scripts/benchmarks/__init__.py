"""What the benchmark commands measure, one module a command."""
