"""Scikit-learn's estimators, for the images that have scikit-learn."""
