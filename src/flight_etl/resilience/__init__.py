"""FAILURE: what kind it is, whether to try again and when, when to stop calling, and where lost work waits.

Knows nothing of flights, and of the rest of the package only the contract.
"""
