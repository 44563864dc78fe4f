internal import CLibev

/// The libraries that this build is linked with.
public enum GreenNetInfo {
    /// The version of the libev that is linked, such as `4.33`.
    public static var libevVersion: String { "\(ev_version_major()).\(ev_version_minor())" }
}
