"""Settings (restart), routing table and roster (reload)."""
