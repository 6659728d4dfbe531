"""The web viewer: rollouts recorded as arrays, gradients at their moments, and the page that shows them."""
