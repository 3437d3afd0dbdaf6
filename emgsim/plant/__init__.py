"""The physics between the generator's code and the device's code; it knows no socket and no EMG.

`analog` solves the wires and filters exactly, `physics` says how large everything is, and `world`
puts the parts on a SimPy clock. A test proves that a world called in process and the same world
behind real PyVISA and real pyserial give equal codes.
"""
