"""The finished stack: fitted on everything, saved, loaded, asked about new images."""
