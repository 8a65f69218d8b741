"""The contract as data: what a reading may hold (`catalogue.json`) and how it is read in Python."""
