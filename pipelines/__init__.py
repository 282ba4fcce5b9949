"""Images in scikit-learn's own pipelines; knows both `extract` and scikit-learn, as the command line does."""
