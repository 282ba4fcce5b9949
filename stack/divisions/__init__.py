"""How an experiment divides its images, and what can be had where a division is refused."""
