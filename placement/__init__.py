"""The pure heart: what a placement costs, and which one to take.

Nothing in here knows a clock, a socket or a disk. Now, chance and the fleet come in by the door, so the live
coordinator and the simulator decide with the very same code.
"""
