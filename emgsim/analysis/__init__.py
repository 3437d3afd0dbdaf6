"""What an analysis can know from the samples alone. It never sees the truth or the simulator."""
