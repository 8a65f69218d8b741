"""The one place where the stages are wired: collectors and modem into the buffer, the buffer into publish."""
