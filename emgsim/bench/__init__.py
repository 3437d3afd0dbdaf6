"""The bench: rig files, level plan, safety, playing and capturing. It knows no EMG physiology."""
