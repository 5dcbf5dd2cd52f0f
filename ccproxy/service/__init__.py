"""ccproxy as a service of the system: launchd on macOS, systemd on Linux.

A room of its own: it knows a command to run, a folder, a log and an address to ask, and nothing of
settings, routing or the server. `ccproxy/cli/service.py` reads the settings and hands these over.
"""
