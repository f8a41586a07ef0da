//! The libraries that Redis gives to scripts, each with the very behaviour of Redis's.
