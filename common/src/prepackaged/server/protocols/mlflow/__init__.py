"""MLflow's scoring protocol, which SageMaker also uses."""
