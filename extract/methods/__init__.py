"""Ways to steer a backbone: one folder a method, which says what can be set and holds the module that is trained."""
