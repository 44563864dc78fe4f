import Glibc
import ProgramKit
import Testing

/// The mapped memory of the process in bytes.
func addressSpaceBytes() throws -> Int { try memoryBytes(at: 0) }

/// The resident memory of the process in bytes.
func residentBytes() throws -> Int { try memoryBytes(at: 1) }

/// The kernel's page tables for the process in bytes, as VmPTE counts them.
func pageTableBytes() throws -> Int { try statusBytes("VmPTE") }

/// The resident memory of the process that is no file's, in bytes: without the pages of programs and libraries, which come with what runs for the first time.
func anonymousBytes() throws -> Int { try statusBytes("RssAnon") }

private func statusBytes(_ field: String) throws -> Int {
    let status = try #require(SmallFile.text(of: "/proc/self/status"))
    return try #require(ProcFS.number(field, of: status)) << 10
}

/// Has the allocator give back what it keeps of freed memory: what is resident then is in use.
func giveFreeHeapBack() throws {
    let trim = try #require(dlsym(nil, "malloc_trim"))
    _ = unsafeBitCast(trim, to: (@convention(c) (Int) -> Int32).self)(0)
}

private func memoryBytes(at position: Int) throws -> Int {
    let file = try #require(fopen("/proc/self/statm", "re"))
    defer { fclose(file) }
    var pages = [0, 0]
    let count = pages.withUnsafeMutableBufferPointer { pages in
        withVaList([pages.baseAddress!, pages.baseAddress! + 1]) { vfscanf(file, "%ld %ld", $0) }
    }
    try #require(count == 2)
    return pages[position] * Int(sysconf(Int32(_SC_PAGESIZE)))
}
