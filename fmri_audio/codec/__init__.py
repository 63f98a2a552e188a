"""EnCodec's weights, its network as a stream or in segments, its files of codes, and what it costs."""
