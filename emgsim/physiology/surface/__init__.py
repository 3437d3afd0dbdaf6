"""Muscle fibres as pads on the skin hear them, through muscle, fat and skin."""
