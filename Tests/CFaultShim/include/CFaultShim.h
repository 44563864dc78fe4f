// Nothing is called by name from here: the library is preloaded, and takes the place of the C library's calls.
