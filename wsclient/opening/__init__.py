"""Getting connected: the HTTP upgrade over aiohttp, and what can go wrong with it."""
