"""What several algorithms use unchanged: networks, returns, normaliser, checkpoints, evaluation."""
