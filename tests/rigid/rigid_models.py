"""Small robots as MJCF text: every kind of joint, anchors off the axes, stacks, forests, every shape that touches."""

import atexit
import functools
import hashlib
import tempfile
from pathlib import Path

from genesis import loaders
from genesis.loaders.model import RigidModel

ZOO = """<mujoco model="zoo">
  <compiler angle="radian" inertiafromgeom="false"/>
  <worldbody>
    <body name="trunk" pos="0.1 -0.2 1.3" quat="0.9 0.1 -0.3 0.2">
      <freejoint name="root"/>
      <inertial pos="0.03 -0.02 0.01" mass="2.1" fullinertia="0.05 0.06 0.04 0.004 -0.003 0.002"/>
      <body name="head" pos="0.2 0.1 0.15" quat="0.8 0.3 0.1 -0.4">
        <joint name="neck" type="ball" pos="0.02 -0.05 0.04" armature="0.02" damping="0.3" stiffness="2.5"/>
        <inertial pos="-0.04 0.05 0.08" mass="0.7" fullinertia="0.008 0.009 0.007 0.001 0.0005 -0.0008"/>
        <body name="brow" pos="0.05 0.02 0.1" quat="0.7 -0.5 0.2 0.1">
          <inertial pos="0.01 0.02 0.03" mass="0.2" fullinertia="0.002 0.002 0.003 0 0.0001 0"/>
          <body name="jaw" pos="0.1 0.03 -0.02">
            <joint name="bite" type="hinge" axis="0.3 1 -0.4" pos="-0.05 0.01 0.02" ref="0.3" armature="0.01"
                   damping="0.1" stiffness="1.5" springref="0.5" range="-0.6 0.9" limited="true"/>
            <inertial pos="0.02 0.01 -0.03" mass="0.3" fullinertia="0.002 0.001 0.0025 0.0002 0 0.0001"/>
          </body>
        </body>
      </body>
      <body name="leg" pos="-0.15 0.2 -0.1" quat="0.6 -0.2 0.5 0.1">
        <joint name="reach" type="slide" axis="1 0.2 0.1" armature="0.05" damping="1.2" stiffness="20" ref="0.1"/>
        <joint name="swing" type="hinge" axis="0 0.7 0.7" pos="0.03 0.06 -0.02" armature="0.03" damping="0.2"/>
        <joint name="twist" type="hinge" axis="1 0 -0.3" pos="-0.02 0.01 0.05" range="-0.7 0.7" limited="true"/>
        <inertial pos="0.05 -0.08 -0.1" mass="0.9" fullinertia="0.012 0.01 0.009 -0.001 0.001 0.0006"/>
        <body name="foot" pos="0 -0.05 -0.3">
          <joint name="ankle" type="ball" pos="0.01 0 0.03" damping="0.15"/>
          <joint name="toe" type="slide" axis="0.1 1 0" pos="0.3 0.1 0.2" damping="0.4" range="-0.1 0.15"
                   limited="true"/>
          <inertial pos="0.01 0.04 -0.02" mass="0.4" fullinertia="0.002 0.003 0.0025 0 0.0003 -0.0002"/>
        </body>
      </body>
    </body>
    <body name="arm" pos="1.5 0.3 0.8" quat="0.5 0.5 -0.4 0.3">
      <joint name="shoulder" type="ball" pos="0.1 0 0.05" armature="0.04" damping="0.5" stiffness="1.0"/>
      <inertial pos="0.1 0.02 -0.1" mass="1.4" fullinertia="0.02 0.03 0.025 0.002 -0.004 0.001"/>
      <body name="forearm" pos="0.25 0 -0.05" quat="0.9 0 0.3 0.1">
        <joint name="elbow" type="hinge" axis="0 1 0.2" pos="0 0 0.04" range="-1.1 0.4" limited="true" damping="0.3"/>
        <joint name="rod" type="slide" axis="0.9 0.1 0.3" stiffness="12" damping="0.7" armature="0.1"/>
        <inertial pos="0.08 0.01 0.02" mass="0.6" fullinertia="0.004 0.006 0.005 0.0005 0 -0.0004"/>
      </body>
    </body>
    <body name="post" pos="-1 0 0.5" quat="0.7 0 0.7 0.1">
      <inertial pos="0 0 0" mass="3" diaginertia="0.1 0.1 0.1"/>
      <body name="vane" pos="0.1 0.2 0.3">
        <joint name="pivot" type="hinge" axis="1 2 3" pos="0.05 -0.03 0.02" damping="0.05"/>
        <inertial pos="0.1 0.05 0.02" mass="0.5" fullinertia="0.004 0.003 0.005 0.0003 0.0002 0"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="bite" gear="3"/>
    <motor joint="swing" gear="2"/>
    <position joint="elbow" kp="8" kv="0.6"/>
    <velocity joint="pivot" kv="1.5"/>
  </actuator>
</mujoco>"""
"""Free, ball, hinge and slide joints; stacks of them on one link; anchors away from the axes; a welded body in the
middle of a chain (brow), a body fixed to the world that carries others (post), and three trees."""

CRAWLER = """<mujoco model="crawler">
  <compiler angle="radian"/>
  <default><geom density="800" friction="0.6"/></default>
  <worldbody>
    <body name="trunk" pos="0 0 0.35">
      <freejoint name="root"/>
      <geom name="belly" type="box" size="0.16 0.1 0.05"/>
      <body name="left" pos="0.12 0.12 -0.02">
        <joint name="left_hip" type="hinge" axis="1 0 0.2" range="-0.5 0.5" limited="true" armature="0.02"
               damping="0.3"/>
        <joint name="left_knee" type="hinge" axis="0 1 0" pos="0.02 0 0.01" range="-0.7 0.3" limited="true"
               armature="0.02" damping="0.3" stiffness="2"/>
        <geom name="left_shank" type="capsule" fromto="0 0 0 0.05 0.08 -0.25" size="0.03"/>
      </body>
      <body name="right" pos="0.12 -0.12 -0.02">
        <joint name="right_hip" type="ball" pos="0.01 0 0.02" armature="0.02" damping="0.5" stiffness="4"/>
        <geom name="right_shank" type="capsule" fromto="0 0 0 0.04 -0.07 -0.25" size="0.03"/>
      </body>
      <body name="tail" pos="-0.16 0 0">
        <joint name="tail_slide" type="slide" axis="0.3 0 1" range="-0.1 0.1" limited="true" armature="0.05" damping="2"
               stiffness="60"/>
        <joint name="tail_hinge" type="hinge" axis="0 1 0.1" armature="0.02" damping="0.4" stiffness="5"/>
        <geom name="tail_rod" type="capsule" fromto="0 0 0 -0.15 0 -0.2" size="0.025"/>
        <geom name="tail_ball" type="sphere" pos="-0.15 0 -0.24" size="0.04" friction="0.9"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="left_hip" gear="5"/>
    <motor joint="left_knee" gear="5"/>
    <motor joint="tail_slide" gear="20"/>
    <motor joint="tail_hinge" gear="5"/>
  </actuator>
</mujoco>"""
"""Three legs, four kinds of joints, box, capsules and a sphere on the ground."""

SHAPES = {
    "sphere": 'type="sphere" size="0.12"',
    "capsule": 'type="capsule" size="0.07 0.12"',
    "box": 'type="box" size="0.12 0.09 0.07"',
    "cylinder": 'type="cylinder" size="0.1 0.08"',
    "ellipsoid": 'type="ellipsoid" size="0.14 0.1 0.07"',
    "hull": 'type="mesh" mesh="rock"',
}
ROCK = "0.13 0 -0.06  -0.08 0.11 -0.07  -0.07 -0.1 -0.06  0.02 0.03 0.12  0.09 0.08 0.03  -0.02 -0.09 0.05"


def lone(shape: str, mass: float = 1.3, friction: float = 0.5, more: str = "") -> str:
    """A free body of one shape, whose frame is neither its centre of mass nor the centre of its shape."""
    mesh = f'<asset><mesh name="rock" vertex="{ROCK}"/></asset>' if shape == "hull" else ""
    return f"""<mujoco model="{shape}">{mesh}
      <worldbody>
        <body name="body" pos="0 0 0.5">
          <freejoint name="root"/>
          <geom name="skin" {SHAPES[shape]} pos="0.02 -0.01 0.015" quat="0.9 0.2 -0.1 0.3" mass="{mass}"
                friction="{friction}"/>{more}
        </body>
      </worldbody>
    </mujoco>"""


def pendulum(length: float = 0.8, mass: float = 1.5, size: float = 1e-3, more: str = "") -> str:
    """A small ball on a massless rod, swinging about y; it hangs along -z at q = 0."""
    spin = 0.4 * mass * size**2
    return f"""<mujoco model="pendulum">
      <worldbody>
        <body name="bob" pos="0 0 2">
          <joint name="pin" type="hinge" axis="0 1 0" {more}/>
          <inertial pos="0 0 {-length}" mass="{mass}" diaginertia="{spin} {spin} {spin}"/>
        </body>
      </worldbody>
    </mujoco>"""


_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)


@functools.cache
def file_of(text: str, suffix: str = "xml") -> str:
    """Path of a file with that text."""
    path = Path(_folder.name) / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.{suffix}"
    path.write_text(text, encoding="utf-8")
    return str(path)


@functools.cache
def from_text(text: str) -> RigidModel:
    return loaders.load_mjcf(file_of(text), cache=False)
