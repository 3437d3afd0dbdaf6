"""Datasets: many simulated recordings with their truth, planned, made, checked and described."""
