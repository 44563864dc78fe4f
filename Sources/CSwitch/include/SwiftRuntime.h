// What the Swift runtime exports and Swift code may not name.  Their calling convention is Swift's, which passes these arguments as C's does.

#ifndef SWIFT_RUNTIME_H
#define SWIFT_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

/// The task that runs on this OS thread; null: none.
void *swift_task_getCurrent(void);

/// How large a task is, in bytes.
extern const size_t _swift_concurrency_debug_asyncTaskSize;

/// Binds a value, which it takes over, of the type whose metadata is `type`.
void swift_task_localValuePush(const void *key, void *value, const void *type);
void swift_task_localValuePop(void);
/// The value that was bound last; null: none.
const void *swift_task_localValueGet(const void *key);

/// A record of an access that is under way, on the stack of the code that has begun it.
typedef struct green_access_record {
    void *words[4];  // the runtime's has three
} green_access_record;

enum { GREEN_TRACKED_MODIFICATION = 0x21 };

void swift_beginAccess(void *variable, green_access_record *record, uintptr_t flags, void *place);
void swift_endAccess(green_access_record *record);

#endif
