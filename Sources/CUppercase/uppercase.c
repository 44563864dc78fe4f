#include "CUppercase.h"

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

// The loader takes the widest of these that the processor has: 64 bytes at a time, 32, or 16.  On others, what the kind always has.  Not under
// ThreadSanitizer: the loader would call into it before it is ready.
#if defined(__x86_64__) && !THREAD_SANITIZER
#define WIDEST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDEST
#endif

// No branch in the loop, so that the compiler makes vectors of it.
WIDEST void ascii_uppercase(uint8_t *bytes, size_t count) {
    for (size_t index = 0; index < count; index++) {
        uint8_t byte = bytes[index];
        bytes[index] = byte ^ ((uint8_t)(byte - 'a') < 26 ? 0x20 : 0);
    }
}
