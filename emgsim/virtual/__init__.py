"""Servers in front of the plant: a generator, a scope and an amplifier that real drivers talk to.

They run in a process of their own (``python -m emgsim.virtual RIG.json --seed N``) and share no
table, encoder or code with the drivers in ``emgsim.instruments``.
"""
