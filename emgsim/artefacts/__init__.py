"""What spoils a recording: noise, interference, artefacts of body, needle, stimulator and machine.

`parameters` holds one frozen model per kind and loads no numerical library; `composition` puts a
list of them on a recording, whole or block by block.
"""
