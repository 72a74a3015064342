"""The fault suite: real processes and servers, killed, frozen and taken away while messages are due.

A receiver in a process of its own notes each message that it accepts. What it noted is compared with what was
due, which is known before the first process starts, and with the ledger. `make faults` runs the full form.
"""
