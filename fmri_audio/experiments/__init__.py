"""Many studies or many conditions through the same code: what chapters compare and claims rest on."""
