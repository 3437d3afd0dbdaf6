"""Recordings and findings on the disk."""
