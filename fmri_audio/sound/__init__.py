"""Sound: reading and mixing it, its segments and features, and how alike two sounds are."""
