"""LoRA: trained sums of low rank beside the projections of a ViT's attention."""
