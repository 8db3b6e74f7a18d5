"""Where prices, carbon and round trips come from. Every source gives a `Series`; who reads it need not ask which."""
