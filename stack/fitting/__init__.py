"""Fits side by side on the cores of this machine, and what their solvers warn of."""
