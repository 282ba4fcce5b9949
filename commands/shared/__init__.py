"""What the commands share: options, how they are declared, what is printed, how a command ends."""
