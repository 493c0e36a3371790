"""What is built and shipped: the forecaster as a BentoML service."""
