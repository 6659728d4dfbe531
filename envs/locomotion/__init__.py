"""Tasks in which a robot of joints and links is to move, balance or fly."""
