"""What a run leaves: its journal, the record folded from it, and folders full of them."""
