"""What was found compared with what was annotated: matches, intervals, errors, and labels that look wrong."""
