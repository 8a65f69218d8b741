"""The village page: whether the internet works, why not, what to do, for people who are no technicians."""
