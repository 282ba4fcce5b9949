"""What is learnt must tell the classes, and must not tell the domains."""
