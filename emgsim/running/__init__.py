"""Runs and examinations from file to verdict: the only room that joins all the others."""
