"""What has changed since somebody approved it: baselines, and the statistics that compare."""
