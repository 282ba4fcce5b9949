"""What a tar archive is made of: headers before each member, and for some the compression of all."""
