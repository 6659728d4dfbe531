"""Bodies that lie on each other, on static shapes and on an arm, as MJCF text."""

import numpy as np

DIMENSIONS = (1, 3, 4, 6)


def heap(
    seed: int,
    kinds: tuple[str, ...],
    integrator: str = "Euler",
    cone: str = "pyramidal",
    n_bodies: int = 4,
    dimensions: tuple[int, ...] = (3,),
    timestep: float = 0.004,
) -> str:
    """Free bodies of random shapes and sizes between slopes, a post and an arm that is driven; all touch all."""
    rng = np.random.default_rng(seed)

    def shape(kind: str, scale: float = 1.0) -> str:
        a, b, c = scale * rng.uniform(0.06, 0.14, 3)
        size = {"sphere": f"{a}", "capsule": f"{0.6 * a} {b}", "cylinder": f"{a} {b}"}.get(kind, f"{a} {b} {c}")
        dim = rng.choice(dimensions)
        friction = f"{rng.uniform(0.3, 1.2)} {rng.uniform(0.005, 0.03)} {rng.uniform(0.001, 0.01)}"
        return f'<geom type="{kind}" size="{size}" condim="{dim}" friction="{friction}"'

    bodies = ""
    for k in range(n_bodies):
        kind = kinds[k % len(kinds)]
        x, y = 0.08 * rng.normal(size=2)
        euler = " ".join(str(angle) for angle in rng.uniform(-180, 180, 3))
        more = ""
        if k == 0:  # of two parts that a joint moves against each other
            more = f"""<body pos="0.16 0 0"><joint axis="0 1 0.3" damping="0.05" range="-60 60"/>
              {shape(kinds[-1], 0.7)} pos="0.07 0 0" density="700"/></body>"""
        bodies += f"""
        <body pos="{x} {y} {0.2 + 0.25 * k}" euler="{euler}"><freejoint/>
          {shape(kind)} density="{rng.uniform(300, 2000)}"/>{more}
        </body>"""
    return f"""
    <mujoco>
      <option timestep="{timestep}" integrator="{integrator}" cone="{cone}"/>
      <default><geom solref="0.02 1" solimp="0.8 0.95 0.01 0.5 2"/></default>
      <worldbody>
        <geom type="plane" size="0 0 1"/>
        <geom type="{kinds[0]}" size="0.2 0.2 0.1" pos="0.35 0 0.05" euler="0 20 0"/>
        <body pos="-0.35 0 0"><geom type="{kinds[-1]}" size="0.2 0.2 0.1"/></body>
        {bodies}
        <body pos="0 0.35 0.2"><joint name="arm" axis="0 0 1" damping="0.2" armature="0.01"/>
          {shape("capsule", 1.5)} pos="0 -0.15 -0.08" euler="90 0 0" density="800"/>
        </body>
      </worldbody>
      <actuator><motor joint="arm" gear="3" ctrlrange="-1 1"/></actuator>
    </mujoco>
    """
