// Upper case as wide as the processor can: Swift compiles for the oldest processor of its kind only, and this loop is memory-bound on
// those of the last ten years.

#ifndef CUPPERCASE_H
#define CUPPERCASE_H

#include <stddef.h>
#include <stdint.h>

/// ASCII a to z become A to Z, in place; every other byte stays, whatever encoding it belongs to.
void ascii_uppercase(uint8_t *bytes, size_t count);

#endif
