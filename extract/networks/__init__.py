"""Backbones as torch modules, and the engines that run them on this machine."""
