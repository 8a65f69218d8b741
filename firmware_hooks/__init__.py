"""firmware_hooks: what a gateway's operating system calls when something happens on the box."""
