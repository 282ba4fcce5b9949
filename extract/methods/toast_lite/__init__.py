"""TOAST-Lite: TOAST whose large matrices stay frozen, with trained ones of low rank beside them."""
