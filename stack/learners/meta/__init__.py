"""Meta-learners, one a file: each makes one answer of what the base learners say."""
