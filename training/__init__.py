"""Training of ICHScope's models: data, synthetic bleeds, augmentation, models, fit and evaluation."""
