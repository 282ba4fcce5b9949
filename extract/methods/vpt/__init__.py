"""Visual prompt tuning: learned tokens in every block of a ViT."""
