"""The report's sections: one file a section, found by listing this folder."""
