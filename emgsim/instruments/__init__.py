"""Talks to instruments: the only room that imports PyVISA and pyserial, and that knows no EMG.

``drivers.load(role, name)`` finds a driver class; ``base`` says what every driver can do.
"""
