"""provisioning: from a blank box to a gateway that may publish. `locks/` pins what is installed on it."""
