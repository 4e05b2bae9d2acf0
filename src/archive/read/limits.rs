//! How much a file may ask of its reader.

/// Bounds on what a file may ask of its reader.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many members all archives of one call may have.
    pub max_entries: u64,
    /// The longest line of data without frames, in bytes.
    pub max_line_bytes: usize,
    /// How many times its size compressed data without frames may grow to, once more than 256 MiB came out.
    pub max_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // Uncompressed chunks have two members per commit, so a large bundle can have a million of them.
        // A line is at most a whole request, whose own limit is 64 MiB by default.
        // Spans compress 5 to 50 times; the same span over and over, a few hundred times.
        // Frames state how long their lines are, so no ratio is held against them.
        Self { max_entries: 10_000_000, max_line_bytes: 64 << 20, max_ratio: 1_000 }
    }
}
