"""Pictures of a scene: a headless renderer of rays and analytic shapes, in kernels. No window, no GL."""
