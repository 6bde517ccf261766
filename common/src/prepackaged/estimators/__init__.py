"""What images that serve scikit-learn estimators share; it imports scikit-learn."""
