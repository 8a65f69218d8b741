"""What a person types: one file per command, `main.py` holds the table of them."""
