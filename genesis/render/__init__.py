"""Pictures of a scene: a headless renderer of rays and analytic shapes, in kernels like all the rest. No window, no GL."""
