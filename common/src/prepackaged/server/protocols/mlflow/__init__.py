"""MLflow's scoring protocol, which SageMaker's containers have too."""
