"""What solvers compute with: NumPy on the cores of this machine, or torch on a GPU."""
