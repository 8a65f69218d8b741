"""The list of sites, checked against the register of villages; a code binds, a name never does."""
