"""The play's studio: voices, effects, music and the mixing desk."""
