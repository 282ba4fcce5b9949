"""The files of a dataset, wherever they lie: in a folder, in archives, behind a URL."""
