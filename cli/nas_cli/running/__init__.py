"""`nas run`: starts a controller and workers on this machine, looks after them and shows how they are doing."""
