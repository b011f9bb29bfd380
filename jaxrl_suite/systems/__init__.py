"""The five learning systems, one package each; none imports another."""
