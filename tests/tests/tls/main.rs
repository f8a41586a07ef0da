//! The TLS port, with a client of its own and with those that people have.

mod certificates;
mod hostile;
mod serving;
