"""The R1 strength for a real network, from the Gram matrix of its gradients."""
