"""The report's sections: one file a section."""
