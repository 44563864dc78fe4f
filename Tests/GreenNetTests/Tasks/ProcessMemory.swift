import Glibc
import Testing

/// The mapped memory of the process in bytes.
func addressSpaceBytes() throws -> Int { try memoryBytes(at: 0) }

/// The resident memory of the process in bytes.
func residentBytes() throws -> Int { try memoryBytes(at: 1) }

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
