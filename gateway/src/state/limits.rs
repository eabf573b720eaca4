//! What a row and a transaction may be at most: the strictest of the engines that the trait must fit.

/// Longest key, in bytes. PostgreSQL's index rows end at 2,704 bytes.
pub const KEY_BYTES_MAX: usize = 2 * 1024;
/// Longest value, in bytes. FoundationDB ends at 100 kB.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Most puts and deletes of one transaction.
pub const WRITES_MAX: usize = 1_000;
/// Most bytes of keys and values that one transaction writes. FoundationDB ends at 10 MB.
pub const TRANSACTION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most rows that one scan returns; longer walks go page by page.
pub const SCAN_ROWS_MAX: usize = 10_001;
/// How often a closure runs before its conflicts are reported.
pub const ATTEMPTS_MAX: u32 = 100;
