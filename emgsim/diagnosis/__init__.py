"""What is wrong on the signal's way, told by name, place and time from what was recorded."""
