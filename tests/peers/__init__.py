"""WebSocket servers made with other people's libraries, each run in its own process."""
