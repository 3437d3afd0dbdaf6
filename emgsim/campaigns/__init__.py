"""Campaigns: scenarios on rigs with seeds and sweeps, cell by cell, pooled into one record."""
