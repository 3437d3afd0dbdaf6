"""Motor neurons, muscle fibres and electrodes: from effort to microvolts.

It knows no file, no clock and no instrument: arrays and frozen parameter objects in, arrays out.
"""
