"""The page of a transfer: its methods by setting, and both domains on a map."""
