"""What a provisioner types: one file per command, `main.py` has the table."""
