"""The commands: `python -m scripts.<name>`, also installed as `genesis-<name>`."""
