"""The live coordinator under a virtual clock: scenarios, the simulated fleet, and what strategies would have cost."""
