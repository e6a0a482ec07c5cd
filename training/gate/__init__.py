"""Pictures to train and measure the picture gate with: heads as the web shows them, and everything else."""
