"""Admits, stores, places, dispatches, settles."""
