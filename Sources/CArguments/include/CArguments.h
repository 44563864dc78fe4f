// The program's arguments, as main() has them.
#pragma once

/// How many there are, the program's name among them.
int program_argument_count(void);

/// The bytes of each, as they were given.
char *const *program_arguments(void);

/// The path by which the kernel was asked to execute this program; relative to where it was started, perhaps.
const char *program_path(void);
