"""Run a network on the hardware of this machine."""
