"""The ways to steer a backbone: what each trains, and the torch module that it trains."""
