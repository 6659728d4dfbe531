"""A model that tendons and sites pull, with everything that these can be given, as MJCF text."""

LAW = 'solreflimit="0.02 0.8" solimplimit="0.8 0.95 0.02 0.4 3"'
LOSS = 'solreffriction="0.015 1" solimpfriction="0.85 0.96 0.01 0.5 2"'
DRY = ('frictionloss="0.15"', 'frictionloss="0.3"')


def pulled(integrator: str = "Euler", option: str = "", touch: int = 0) -> str:
    """Two arms, one of them of two branches and on a ball, and a free body, over a plane.

    Args:
        option: Further attributes of <option>.
        touch: 1: they touch the plane.
    """
    return f"""
    <mujoco model="pulled">
      <compiler angle="radian" autolimits="true"/>
      <option timestep="0.003" integrator="{integrator}" {option}/>
      <default><geom contype="0" conaffinity="{touch}" density="700"/><joint damping="0.08" armature="0.02"/></default>
      <worldbody>
        <geom type="plane" size="0 0 1" pos="0 0 0.55" contype="{touch}" conaffinity="0"/>
        <site name="hook" pos="0.3 0.2 1.2" euler="0.2 0.4 -0.3"/>
        <body name="trunk" pos="0 0 1" euler="0.1 0.2 0.3">
          <joint name="neck" type="ball" armature="0.03"/>
          <geom type="box" size="0.08 0.06 0.05" pos="0.02 0 -0.05"/>
          <site name="chest" pos="0.05 0.02 -0.06" euler="0.5 0.1 0.2"/>
          <body name="left" pos="0.1 0 -0.1" gravcomp="0.7"><joint name="left" axis="0.1 1 0" range="-0.8 0.9"/>
            <geom type="capsule" size="0.03" fromto="0 0 0 0.2 0 -0.1"/><site name="elbow" pos="0.2 0.01 -0.1"/>
            <body name="hand" pos="0.2 0 -0.1"><joint name="wrist" axis="1 0.2 0"/><joint name="reach" type="slide"
                axis="1 0 -0.5" stiffness="60" springref="0.02"/>
              <geom type="box" size="0.06 0.03 0.04" pos="0.05 0 0.01"/>
              <body name="glove" pos="0.05 0.01 0" euler="0.3 0 0.1" gravcomp="1.2"><geom type="sphere" size="0.04"/>
                <site name="palm" pos="0.06 0.01 0.02" euler="0.3 -0.2 0.7"/></body></body></body>
          <body name="right" pos="-0.1 0.02 -0.1"><joint name="right" axis="0 1 0.2" stiffness="2" springref="0.3"/>
            <geom type="capsule" size="0.03" fromto="0 0 0 -0.2 0.05 -0.1"/><site name="fist" pos="-0.2 0.05 -0.1"
              euler="0.1 0.2 0.6"/></body>
        </body>
        <body name="post" pos="0.5 0.3 0.5"><joint name="post" axis="0 0.3 1" {DRY[0]}/>
          <geom type="capsule" size="0.03" fromto="0 0 0 0 0 0.3"/><site name="top" pos="0 0.01 0.3"/>
          <body pos="0 0 0.3"><joint name="flap" axis="0 1 0"/><geom type="box" size="0.06 0.02 0.05" pos="0.06 0 0"/>
          </body></body>
        <body name="drone" pos="-0.4 0 0.8" euler="0.3 -0.2 0.5" gravcomp="0.4"><freejoint name="drone"/>
          <geom type="box" size="0.08 0.06 0.03" pos="0.01 0 0.01"/>
          <site name="rotor" pos="0.07 0.03 0.02" euler="0.1 -0.1 0.2"/>
          <body pos="-0.08 0 0"><joint name="tail" axis="0 1 0.2"/><geom type="sphere" size="0.04" pos="-0.05 0 0"/>
          </body></body>
      </worldbody>
      <tendon>
        <fixed name="one chain" stiffness="9" springlength="-0.1 0.15" damping="0.3" armature="0.02"
          range="-0.3 0.25" margin="0.02" {LAW}>
          <joint joint="left" coef="0.8"/><joint joint="wrist" coef="-0.6"/><joint joint="reach" coef="2"/></fixed>
        <fixed name="branches" stiffness="4" damping="0.2" armature="0.03" {DRY[1]} {LOSS}>
          <joint joint="left" coef="1"/><joint joint="right" coef="-0.7"/></fixed>
        <fixed name="trees" stiffness="3" springlength="0.2" damping="0.1" range="-0.2 0.3" {DRY[0]}>
          <joint joint="right" coef="0.5"/><joint joint="flap" coef="1.1"/><joint joint="post" coef="-0.4"/></fixed>
        <fixed name="alone" range="-0.4 0.3"><joint joint="flap" coef="1.3"/></fixed>
        <fixed name="passive"><joint joint="wrist" coef="1.3"/><joint joint="flap" coef="0.4"/></fixed>
        <spatial name="rope" stiffness="60" damping="1.5" springlength="0.3 0.6">
          <site site="hook"/><site site="elbow"/><site site="top"/></spatial>
        <spatial name="line" range="0 0.62" {LAW} {DRY[1]}>
          <site site="rotor"/><site site="fist"/><pulley divisor="2"/><site site="chest"/><site site="palm"/></spatial>
      </tendon>
      <equality>
        <tendon tendon1="branches" tendon2="passive" polycoef="0.05 0.6 -0.3 0.2 0.1" solref="0.03 1"
          solimp="0.7 0.9 0.1 0.4 2"/>
        <tendon tendon1="alone" polycoef="0.1 0 0 0 0" solref="0.05 1" solimp="0.3 0.6 0.3 0.5 2"/>
      </equality>
      <actuator>
        <motor name="motor" tendon="one chain" gear="1.4" ctrlrange="-2 2"/>
        <position name="servo" tendon="trees" kp="6" kv="0.8" ctrlrange="-0.5 0.5" forcerange="-2 1.5"/>
        <general name="rope" tendon="rope" gear="0.8" gainprm="3" biastype="affine" biasprm="0.2 -4 -0.9"/>
        <motor name="rotor" site="rotor" gear="0.2 0.1 2 0.05 -0.02 0.1" ctrlrange="0 1.5"/>
        <general name="drag" site="palm" gear="1 -0.5 0.3 0.02 0.1 0" biastype="affine" biasprm="0 0 -0.7"/>
        <position name="pose" site="palm" refsite="fist" gear="0.7 0.5 -0.4 0.3 0.2 -0.1" kp="5" kv="0.6"/>
        <position name="turn" site="fist" refsite="hook" gear="0 0 0 0.1 -0.3 0.2" kp="2"/>
        <velocity name="swing" joint="left" kv="0.4" ctrlrange="-1 1"/>
        <general name="filtered" site="chest" gear="0 0 0 0 0 0.3" dyntype="filter" dynprm="0.05"/>
      </actuator>
    </mujoco>
    """
