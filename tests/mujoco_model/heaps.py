"""Bodies that lie on each other, on static shapes and on an arm, as MJCF text."""

import numpy as np

DIMENSIONS = (1, 3, 4, 6)

FREE_BODIES = """
<mujoco>
  <option timestep="0.004" integrator="implicitfast" cone="elliptic"/>
  <default><geom solref="0.02 1" solimp="0.8 0.95 0.01 0.5 2"/></default>
  <worldbody>
    <geom type="plane" size="0 0 1"/>
    <body pos="0 0 0.3" euler="10 20 30"><joint type="free" damping="0.03" armature="0.02"/>
      <geom type="box" size="0.1 0.15 0.25" pos="0.03 0.02 0.05" euler="20 30 40" density="400"/>
      <geom type="sphere" size="0.06" pos="0.1 0.1 0.1"/>
    </body>
    <body pos="1 0 0.5" euler="40 20 30"><freejoint/><geom type="capsule" size="0.05 0.2" density="700"/>
      <body pos="0.1 0.05 0.1" euler="10 50 80"><geom type="box" size="0.03 0.06 0.1"/></body>
    </body>
    <body pos="0 1 0.5" euler="40 20 30"><freejoint/><geom type="box" size="0.05 0.2 0.1" density="700"/></body>
    <body pos="1 1 0.5"><freejoint/><geom type="box" size="0.05 0.2 0.1"/>
      <body pos="0.1 0.05 0.1"><joint axis="0 1 0.3" damping="0.02"/>
        <geom type="capsule" size="0.03 0.1" pos="0.1 0 0"/></body>
    </body>
  </worldbody>
</mujoco>
"""
"""Of several geoms, off centre, damped, with a body welded to one; and one that carries another on a hinge."""


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


def meshes(seed: int, n_bodies: int = 3) -> str:
    """Free bodies, convex meshes of random corners, that touch slopes alone."""
    rng = np.random.default_rng(seed)
    assets = bodies = ""
    for k in range(n_bodies):
        corners = rng.normal(size=(int(rng.integers(6, 20)), 3)) * 0.1
        assets += f'<mesh name="m{k}" vertex="{" ".join(f"{x:.6f}" for x in corners.ravel())}"/>'
        bodies += f"""<body pos="{0.6 * k} 0 0.3"><freejoint/><geom type="mesh" mesh="m{k}" contype="0" conaffinity="1"
          density="{rng.uniform(300, 2000)}" condim="{rng.choice(DIMENSIONS)}"/></body>"""
    return f"""
    <mujoco>
      <option timestep="0.004"/>
      <default><geom solimp="0.8 0.95 0.01 0.5 2"/></default>
      <asset>{assets}</asset>
      <worldbody><geom type="plane" size="0 0 1"/><geom type="plane" size="0 0 1" euler="0 15 20"/>{bodies}</worldbody>
    </mujoco>
    """
