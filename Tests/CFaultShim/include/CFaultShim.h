// No declarations: the library is preloaded, and its functions replace those of the C library.
