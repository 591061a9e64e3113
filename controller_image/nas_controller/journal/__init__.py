"""The durable memory of a search: the interface in `journal`, a SQLite file behind it in `sqlite`."""
