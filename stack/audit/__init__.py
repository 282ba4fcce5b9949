"""What is wrong with a dataset: labels, copies, odd images, classes; from cached features and out-of-fold scores."""
