"""Everything that can be installed, made from this folder by one command: `make dist`."""
