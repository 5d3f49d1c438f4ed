"""Models of single papers, each with its own theory, simulation and commands. The core knows none of them."""
