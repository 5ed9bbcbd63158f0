"""Trained models as SavedModels that need nothing but tensorflow."""
