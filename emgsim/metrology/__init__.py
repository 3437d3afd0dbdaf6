"""What an amplifier does, with uncertainty: stimuli, what came back, and what it says."""
