"""Two stores behind one contract: memory for simulations, SQLite for everything that must last."""
